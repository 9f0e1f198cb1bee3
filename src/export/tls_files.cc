#include "export/tls_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <ctime>

#include "base/read_file.h"

namespace weir::outbound {
namespace {

constexpr uint64_t kLookAtFilesNs = 2'000'000'000;

struct BioDeleter {
  void operator()(BIO* bio) const noexcept { BIO_free(bio); }
};
using BioPtr = std::unique_ptr<BIO, BioDeleter>;
struct StoreDeleter {
  void operator()(X509_STORE* store) const noexcept { X509_STORE_free(store); }
};
using StorePtr = std::unique_ptr<X509_STORE, StoreDeleter>;

BioPtr over(const std::string& text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

/// Instead of OpenSSL's own, which asks at the terminal.
int refuse_passphrase(char*, int, int, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

const char* word_for(TlsFile file) {
  switch (file) {
    case TlsFile::ca: return "CA file";
    case TlsFile::certificate: return "certificate";
    case TlsFile::key: break;
  }
  return "private key";
}

std::string name_of_subject(const X509* certificate) {
  const BioPtr out(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(out.get(), X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
  char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  return size > 0 ? std::string(text, static_cast<size_t>(size)) : "no name";
}

std::string time_text(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return "an odd time";
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02} UTC", parts.tm_year + 1900,
                     parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
}

bool is_before(const ASN1_TIME* time, uint64_t at_s) {
  auto seconds = static_cast<time_t>(at_s);
  return X509_cmp_time(time, &seconds) < 0;
}

/// What was found so far, of the files that are there.
class Reading {
 public:
  explicit Reading(const TlsConfig& config) : config_(config) {}

  void read() {
    if (config_.mode == TlsMode::none) return;
    if (!config_.ca_file.empty()) read_certificates(TlsFile::ca, config_.ca_file, made.authorities);
    if (config_.mode != TlsMode::mtls) return;
    read_certificates(TlsFile::certificate, config_.cert_file, made.chain);
    read_key();
    if (made.key == nullptr || made.chain.empty()) return;
    if (X509_check_private_key(made.chain.front().get(), made.key.get()) == 1) return;
    ERR_clear_error();
    find(TlsFile::key, TlsFinding::Kind::unusable,
         fmt::format("does not belong to the certificate in {}", config_.cert_file));
    made.key.reset();
  }

  void judge(uint64_t now_s) {
    judge_times(now_s);
    if (!made.chain.empty()) judge_chain();
    if (config_.mode == TlsMode::mtls && is_readable_by_others(config_.key_file)) {
      find(TlsFile::key, TlsFinding::Kind::readable_by_others,
           "can be read by every user of this machine (chmod o-rwx)");
    }
  }

  TlsMaterial made;
  std::vector<TlsFinding> findings;

 private:
  const std::string& path_of(TlsFile file) const {
    return file == TlsFile::ca            ? config_.ca_file
           : file == TlsFile::certificate ? config_.cert_file
                                          : config_.key_file;
  }

  void find(TlsFile file, TlsFinding::Kind kind, std::string_view what) {
    findings.push_back({file, kind, fmt::format("{} {}: {}", word_for(file), path_of(file), what)});
  }

  /// Its text; empty, and a finding, where there is none.
  std::string text_of(TlsFile file, const std::string& path) {
    if (path.empty()) {
      findings.push_back({file, TlsFinding::Kind::unusable,
                          fmt::format("no {} given, which mutual TLS needs", word_for(file))});
      return {};
    }
    auto text = read_secret_file(path);
    if (text && !text->empty()) return std::move(*text);
    find(file, TlsFinding::Kind::unusable, text ? "the file is empty" : text.error().message);
    return {};
  }

  void read_certificates(TlsFile file, const std::string& path, std::vector<CertificatePtr>& into) {
    const std::string text = text_of(file, path);
    if (text.empty()) return;
    const BioPtr in = over(text);
    bool asked = false;
    ERR_clear_error();
    for (;;) {
      CertificatePtr one(PEM_read_bio_X509(in.get(), nullptr, refuse_passphrase, &asked));
      if (one == nullptr) break;
      into.push_back(std::move(one));
    }
    const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    ERR_clear_error();
    if (at_end && !into.empty()) return;
    const size_t good = into.size();
    into.clear();
    if (!at_end) {
      find(file, TlsFinding::Kind::unusable,
           fmt::format("certificate {} in it is damaged", good + 1));
    } else if (text.find("PRIVATE KEY-----") != std::string::npos) {
      find(file, TlsFinding::Kind::unusable, "holds a private key and no certificate");
    } else {
      find(file, TlsFinding::Kind::unusable,
           "holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)");
    }
  }

  void read_key() {
    std::string text = text_of(TlsFile::key, config_.key_file);
    if (text.empty()) return;
    bool asked = false;
    made.key.reset(PEM_read_bio_PrivateKey(over(text).get(), nullptr, refuse_passphrase, &asked));
    ERR_clear_error();
    const char* what = "holds no private key in PEM form (-----BEGIN PRIVATE KEY-----)";
    if (text.find("PRIVATE KEY-----") != std::string::npos) what = "the key in it is damaged";
    else if (text.find("BEGIN CERTIFICATE-----") != std::string::npos)
      what = "holds a certificate and no private key";
    OPENSSL_cleanse(text.data(), text.size());
    if (made.key != nullptr) return;
    if (asked) what = "is protected by a passphrase; a key without one is needed";
    find(TlsFile::key, TlsFinding::Kind::unusable, what);
  }

  void judge_times(uint64_t now_s) {
    // Of a file of CAs, those in use are not known: it is strange only when none is valid.
    size_t valid = 0;
    for (const CertificatePtr& ca : made.authorities) {
      valid += !is_before(X509_get0_notAfter(ca.get()), now_s) &&
               is_before(X509_get0_notBefore(ca.get()), now_s);
    }
    if (!made.authorities.empty() && valid == 0) judge_time(TlsFile::ca, made.authorities, now_s);
    if (!made.chain.empty()) judge_time(TlsFile::certificate, made.chain, now_s);
  }

  void judge_time(TlsFile file, const std::vector<CertificatePtr>& certificates, uint64_t now_s) {
    for (const CertificatePtr& one : certificates) {
      const ASN1_TIME* begin = X509_get0_notBefore(one.get());
      const ASN1_TIME* end = X509_get0_notAfter(one.get());
      const std::string name = name_of_subject(one.get());
      if (is_before(end, now_s)) {
        find(file, TlsFinding::Kind::expired,
             fmt::format("{} expired at {}", name, time_text(end)));
      } else if (!is_before(begin, now_s)) {
        find(file, TlsFinding::Kind::not_yet_valid,
             fmt::format("{} is not valid before {} (is this machine's clock right?)", name,
                         time_text(begin)));
      } else if (is_before(end, now_s + kExpiresSoonSecs)) {
        find(file, TlsFinding::Kind::expires_soon,
             fmt::format("{} expires at {}", name, time_text(end)));
      }
    }
  }

  void judge_chain() {
    X509* own = made.chain.front().get();
    if (X509_check_purpose(own, X509_PURPOSE_SSL_CLIENT, 0) != 1) {
      find(TlsFile::certificate, TlsFinding::Kind::unlikely,
           "is not for clients (extended key usage): servers will refuse it");
    }
    if (made.authorities.empty()) return;
    const StorePtr store(X509_STORE_new());
    for (const CertificatePtr& ca : made.authorities) X509_STORE_add_cert(store.get(), ca.get());
    X509_STORE_set_flags(store.get(), X509_V_FLAG_NO_CHECK_TIME);
    STACK_OF(X509)* others = sk_X509_new_null();
    for (size_t i = 1; i < made.chain.size(); ++i) sk_X509_push(others, made.chain[i].get());
    X509_STORE_CTX* verification = X509_STORE_CTX_new();
    X509_STORE_CTX_init(verification, store.get(), own, others);
    if (X509_verify_cert(verification) != 1) {
      find(TlsFile::certificate, TlsFinding::Kind::unlikely,
           fmt::format("was not issued by a CA of {} ({}): a server that trusts the same CA will "
                       "refuse it",
                       config_.ca_file,
                       X509_verify_cert_error_string(X509_STORE_CTX_get_error(verification))));
    }
    X509_STORE_CTX_free(verification);
    sk_X509_free(others);
    ERR_clear_error();
  }

  const TlsConfig& config_;
};

}  // namespace

void OpensslDeleter::operator()(X509* certificate) const noexcept { X509_free(certificate); }
void OpensslDeleter::operator()(EVP_PKEY* key) const noexcept { EVP_PKEY_free(key); }

Result<std::string> read_secret_file(const std::string& path) { return read_unnamed_file(path, kSecretFileOctetsMax); }

bool is_readable_by_others(const std::string& path) noexcept {
  struct stat about {};
  return ::stat(path.c_str(), &about) == 0 && (about.st_mode & (S_IROTH | S_IWOTH)) != 0;
}

Result<TlsMaterial> read_tls_files(const TlsConfig& config) {
  Reading reading(config);
  reading.read();
  if (!reading.findings.empty()) return Error{reading.findings.front().text};
  return std::move(reading.made);
}

Result<void> use_tls_material(SSL_CTX* context, const TlsMaterial& material) {
  ERR_clear_error();
  bool good = true;
  if (!material.authorities.empty()) {
    // A new store: the library's own trusts whom the system trusts.
    X509_STORE* store = X509_STORE_new();
    good = store != nullptr;
    for (const CertificatePtr& ca : material.authorities) {
      good = good && X509_STORE_add_cert(store, ca.get()) == 1;
    }
    if (good) {
      SSL_CTX_set_cert_store(context, store);  // which owns it from now on
    } else {
      X509_STORE_free(store);
    }
  }
  for (size_t i = 0; good && i < material.chain.size(); ++i) {
    X509* certificate = material.chain[i].get();
    good = i == 0 ? SSL_CTX_use_certificate(context, certificate) == 1
                  : SSL_CTX_add1_chain_cert(context, certificate) == 1;
  }
  if (good && material.key != nullptr) {
    good = SSL_CTX_use_PrivateKey(context, material.key.get()) == 1;
  }
  if (good) return {};
  const char* reason = ERR_reason_error_string(ERR_peek_last_error());
  Error error{fmt::format("TLS library: {}", reason != nullptr ? reason : "no memory")};
  ERR_clear_error();
  return error;
}

std::vector<TlsFinding> inspect_tls_files(const TlsConfig& config, uint64_t now_s) {
  Reading reading(config);
  reading.read();
  reading.judge(now_s);
  return std::move(reading.findings);
}

FileStamps::FileStamps(const std::vector<std::string>& paths) {
  for (const std::string& path : paths) look_at(path, &stamps_);
}

bool FileWatch::has_changed(uint64_t steady_now_ns) {
  if (files_.empty() || steady_now_ns < next_look_ns_) return false;
  next_look_ns_ = steady_now_ns + kLookAtFilesNs;
  const FileStamps now(files_);
  const bool is_settled = now == seen_;
  seen_ = now;
  return is_settled && !(now == read_);
}

}  // namespace weir::outbound
