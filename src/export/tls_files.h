// tls_files.h — The certificates and the private key of a connection: read, and judged before they are used.
//
// Spec:     PEM; X.509 as OpenSSL reads it.
// Runs on:  start-up, and whoever connects.
// Bounds:   a file has kSecretFileOctetsMax at most.
// Failure:  an Error that names the file and what is wrong with it. A key with a passphrase is refused:
//           nobody is asked.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_stamp.h"
#include "base/result.h"

// OpenSSL's types, so that its headers stay out of ours.
extern "C" {
typedef struct x509_st X509;
typedef struct evp_pkey_st EVP_PKEY;
typedef struct ssl_ctx_st SSL_CTX;
}

namespace weir::outbound {

inline constexpr size_t kSecretFileOctetsMax = 1 << 20;
inline constexpr uint64_t kExpiresSoonSecs = 14 * 86'400;

enum class TlsMode : uint8_t {
  none,
  tls,   // the server shows a certificate
  mtls,  // and so do we
};

struct TlsConfig {
  TlsMode mode = TlsMode::none;
  std::string ca_file;      // who may have signed the server's; empty: whom the system trusts
  std::string cert_file;    // of mtls; ours, and what leads from it to its CA
  std::string key_file;     // of mtls
  std::string server_name;  // what the server's certificate must name; empty: the host of the URL
};

enum class TlsFile : uint8_t { ca, certificate, key };

struct TlsFinding {
  enum class Kind : uint8_t {
    unusable,  // no connection can be made with it
    expired,
    not_yet_valid,
    expires_soon,
    unlikely,  // a server may well refuse it
    readable_by_others,
  };
  TlsFile file;
  Kind kind;
  std::string text;  // names the file
};

struct OpensslDeleter {
  void operator()(X509* certificate) const noexcept;
  void operator()(EVP_PKEY* key) const noexcept;
};
using CertificatePtr = std::unique_ptr<X509, OpensslDeleter>;
using KeyPtr = std::unique_ptr<EVP_PKEY, OpensslDeleter>;

struct TlsMaterial {
  std::vector<CertificatePtr> authorities;  // empty: the system's
  std::vector<CertificatePtr> chain;        // ours first; empty: none
  KeyPtr key;
};

/// All that the mode needs, as the files are now. Times are not looked at: the server does that.
Result<TlsMaterial> read_tls_files(const TlsConfig& config);

/// Lets connections of `context` use it, and trust its authorities and nobody else.
Result<void> use_tls_material(SSL_CTX* context, const TlsMaterial& material);

/// What is wrong or strange, at that time (seconds since the epoch).
std::vector<TlsFinding> inspect_tls_files(const TlsConfig& config, uint64_t now_s);

/// The whole of a small file; an Error without its name.
Result<std::string> read_secret_file(const std::string& path);
/// Whether others than owner and group may read it.
bool is_readable_by_others(const std::string& path) noexcept;

/// Files as they are at a moment: equal only while nobody has written or replaced one of them.
class FileStamps {
 public:
  FileStamps() = default;
  /// Empty paths are left out.
  explicit FileStamps(const std::vector<std::string>& paths);
  friend bool operator==(const FileStamps&, const FileStamps&) = default;

 private:
  StampedFiles stamps_;
};

/// Tells that files have changed, once nobody writes them any more.
class FileWatch {
 public:
  explicit FileWatch(std::vector<std::string> files) : files_(std::move(files)) {}

  /// What is there now is about to be read, and then was: whether something else than the time before.
  void begin_reading() { reading_ = seen_ = FileStamps(files_); }
  bool end_reading() {
    const bool is_new = has_read_ && !(read_ == reading_);
    has_read_ = true;
    read_ = reading_;
    return is_new;
  }
  /// Whether something else is there than what was read last. Looks every two seconds, and believes
  /// what it has seen twice.
  bool has_changed(uint64_t steady_now_ns);
  /// Whether what it saw last is what begin_reading() found.
  bool was_tried() const { return seen_ == reading_; }

 private:
  const std::vector<std::string> files_;
  FileStamps read_, reading_, seen_;
  bool has_read_ = false;
  uint64_t next_look_ns_ = 0;
};

}  // namespace weir::outbound
