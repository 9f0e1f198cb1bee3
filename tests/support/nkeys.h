// nkeys.h — Keys of NATS operators, accounts and users, and the JWTs that they sign, made on the spot.
#pragma once

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <array>
#include <chrono>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

namespace weir::test {

class NatsKey {
 public:
  enum class Kind : uint8_t { operator_ = 14, account = 0, user = 20 };  // O, A, U

  explicit NatsKey(Kind kind) : kind_(kind) { RAND_bytes(seed_.data(), static_cast<int>(seed_.size())); }

  /// `U…`, `A…`, `O…`
  std::string public_key() const {
    std::vector<uint8_t> octets{static_cast<uint8_t>(static_cast<unsigned>(kind_) << 3)};
    EVP_PKEY* key = ed25519();
    std::array<uint8_t, 32> open{};
    size_t size = open.size();
    EVP_PKEY_get_raw_public_key(key, open.data(), &size);
    EVP_PKEY_free(key);
    octets.insert(octets.end(), open.begin(), open.end());
    return with_sum(std::move(octets));
  }
  /// `SU…`
  std::string seed() const {
    const unsigned prefix = static_cast<unsigned>(kind_) << 3;
    std::vector<uint8_t> octets{static_cast<uint8_t>(18u << 3 | prefix >> 5),
                                static_cast<uint8_t>((prefix & 31) << 3)};
    octets.insert(octets.end(), seed_.begin(), seed_.end());
    return with_sum(std::move(octets));
  }
  /// A JWT that says `nats` of `subject`, signed by this key.
  std::string jwt(const std::string& subject, const std::string& name, nlohmann::json nats,
                  long expires_in_s = 0) const {
    const auto now = std::chrono::duration_cast<std::chrono::seconds>(
                         std::chrono::system_clock::now().time_since_epoch())
                         .count();
    nats["version"] = 2;
    nlohmann::json claims = {{"jti", name + std::to_string(now)}, {"iat", now},
                             {"iss", public_key()},               {"name", name},
                             {"sub", subject},                    {"nats", nats}};
    if (expires_in_s != 0) claims["exp"] = now + expires_in_s;
    const std::string text = base64(R"({"typ":"JWT","alg":"ed25519-nkey"})") + "." +
                             base64(claims.dump());
    return text + "." + base64(sign(text));
  }

  /// A credentials file's contents, for a user.
  std::string credentials(const std::string& user_jwt) const {
    return "-----BEGIN NATS USER JWT-----\n" + user_jwt +
           "\n------END NATS USER JWT------\n\n"
           "************************* IMPORTANT *************************\n"
           "-----BEGIN USER NKEY SEED-----\n" +
           seed() + "\n------END USER NKEY SEED------\n";
  }

 private:
  EVP_PKEY* ed25519() const {
    return EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed_.data(), seed_.size());
  }
  std::string sign(const std::string& text) const {
    EVP_PKEY* key = ed25519();
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    std::string signature(64, '\0');
    size_t size = signature.size();
    EVP_DigestSignInit(context, nullptr, nullptr, nullptr, key);
    EVP_DigestSign(context, reinterpret_cast<uint8_t*>(signature.data()), &size,
                   reinterpret_cast<const uint8_t*>(text.data()), text.size());
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    return signature;
  }
  static std::string letters(std::span<const uint8_t> octets, const char* alphabet, int bits) {
    std::string text;
    for (size_t at = 0; at < octets.size() * 8; at += static_cast<size_t>(bits)) {
      unsigned value = 0;
      for (int i = 0; i < bits; ++i) {
        const size_t bit = at + static_cast<size_t>(i);
        const unsigned one = bit / 8 < octets.size() ? octets[bit / 8] >> (7 - bit % 8) & 1u : 0u;
        value = value << 1 | one;
      }
      text += alphabet[value];
    }
    return text;
  }
  static std::string with_sum(std::vector<uint8_t> octets) {
    unsigned sum = 0;
    for (const uint8_t octet : octets) {
      sum ^= static_cast<unsigned>(octet) << 8;
      for (int i = 0; i < 8; ++i) sum = (sum & 0x8000) != 0 ? sum << 1 ^ 0x1021 : sum << 1;
      sum &= 0xFFFF;
    }
    octets.push_back(static_cast<uint8_t>(sum));
    octets.push_back(static_cast<uint8_t>(sum >> 8));
    return letters(octets, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 5);
  }
  static std::string base64(const std::string& text) {
    return letters({reinterpret_cast<const uint8_t*>(text.data()), text.size()},
                   "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", 6);
  }

  Kind kind_;
  std::array<uint8_t, 32> seed_{};
};

/// The operator, an account with JetStream, a user of it, and a server's configuration that trusts them.
struct NatsOperator {
  NatsKey own{NatsKey::Kind::operator_};
  NatsKey account{NatsKey::Kind::account};
  NatsKey system{NatsKey::Kind::account};
  NatsKey user{NatsKey::Kind::user};

  std::string user_jwt(long expires_in_s = 0) const {
    return account.jwt(user.public_key(), "weir", {{"type", "user"}, {"subs", -1}, {"data", -1}, {"payload", -1}},
                       expires_in_s);
  }
  std::string credentials(long expires_in_s = 0) const {
    return user.credentials(user_jwt(expires_in_s));
  }
  std::string server_configuration() const {
    const nlohmann::json limits = {{"subs", -1},        {"data", -1},         {"payload", -1},
                                   {"imports", -1},     {"exports", -1},      {"wildcards", true},
                                   {"conn", -1},        {"leaf", -1},         {"mem_storage", -1},
                                   {"disk_storage", -1}, {"streams", -1},     {"consumer", -1}};
    nlohmann::json plain = limits;
    for (const char* jetstream : {"mem_storage", "disk_storage", "streams", "consumer"}) {
      plain.erase(jetstream);
    }
    const auto account_jwt = [&](const NatsKey& key, const char* name, const nlohmann::json& l) {
      return own.jwt(key.public_key(), name, {{"type", "account"}, {"limits", l}});
    };
    return "operator: " +
           own.jwt(own.public_key(), "op",
                   {{"type", "operator"}, {"system_account", system.public_key()}}) +
           "\nsystem_account: " + system.public_key() + "\nresolver: MEMORY\nresolver_preload: {\n" +
           account.public_key() + ": " + account_jwt(account, "weir", limits) + "\n" +
           system.public_key() + ": " + account_jwt(system, "SYS", plain) + "\n}\n";
  }
};

}  // namespace weir::test
