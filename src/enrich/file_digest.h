// file_digest.h — What a file holds, in few octets: another file, another digest.
#pragma once

#include <fmt/format.h>
#include <openssl/evp.h>

#include <memory>
#include <string>
#include <string_view>

namespace weir::enrich {

/// SHA-256, its beginning as 16 hexadecimal digits.
class FileDigest {
 public:
  FileDigest() : context_(EVP_MD_CTX_new()) { EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr); }
  void add(std::string_view octets) { EVP_DigestUpdate(context_.get(), octets.data(), octets.size()); }
  std::string hex() {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    EVP_DigestFinal_ex(context_.get(), digest, &size);
    constexpr unsigned kShown = 8;
    std::string text;
    for (unsigned i = 0; i < kShown && i < size; ++i) text += fmt::format("{:02x}", digest[i]);
    return text;
  }

 private:
  struct Free {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  std::unique_ptr<EVP_MD_CTX, Free> context_;
};

}  // namespace weir::enrich
