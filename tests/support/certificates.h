// certificates.h — A CA made on the spot, and certificates of it that are as good or as bad as a test wants.
#pragma once

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>

namespace weir::test {

struct CertificatePair {
  std::string certificate;  // PEM
  std::string key;
};

/// What a certificate is to say; validity in seconds from now.
struct CertificateWish {
  std::string name = "localhost";
  std::string hosts = "DNS:localhost,IP:127.0.0.1";  // empty: none
  std::string usage = "serverAuth,clientAuth";
  long from_s = -3600;
  long until_s = 90 * 86'400;
};

class Authority {
 public:
  explicit Authority(const std::string& name = "test CA", long until_s = 365 * 86'400)
      : key_(EVP_EC_gen("P-256")), own_(X509_new()) {
    CertificateWish wish;
    wish.name = name;
    wish.until_s = until_s;
    fill(own_.get(), wish, key_.get(), own_.get());
    extend(own_.get(), own_.get(), NID_basic_constraints, "critical,CA:TRUE");
    extend(own_.get(), own_.get(), NID_key_usage, "critical,keyCertSign,cRLSign");
    sign(own_.get());
  }

  std::string pem() const { return pem_of(own_.get()); }

  CertificatePair issue(const CertificateWish& wish) const {
    const KeyPtr key(EVP_EC_gen("P-256"));
    const CertPtr made(X509_new());
    fill(made.get(), wish, key.get(), own_.get());
    if (!wish.hosts.empty()) extend(made.get(), own_.get(), NID_subject_alt_name, wish.hosts);
    if (!wish.usage.empty()) extend(made.get(), own_.get(), NID_ext_key_usage, wish.usage);
    sign(made.get());
    return {pem_of(made.get()), pem_of(key.get())};
  }
  CertificatePair issue() const { return issue(CertificateWish{}); }

  /// A CA below this one.
  Authority below(const std::string& name) const {
    Authority made(name);
    made.own_.reset(X509_new());
    CertificateWish wish;
    wish.name = name;
    fill(made.own_.get(), wish, made.key_.get(), own_.get());
    extend(made.own_.get(), own_.get(), NID_basic_constraints, "critical,CA:TRUE");
    sign(made.own_.get());
    return made;
  }

  /// The key with a passphrase around it.
  static std::string protect(const std::string& key_pem, const std::string& passphrase) {
    const BioPtr in(BIO_new_mem_buf(key_pem.data(), static_cast<int>(key_pem.size())));
    const KeyPtr key(PEM_read_bio_PrivateKey(in.get(), nullptr, nullptr, nullptr));
    const BioPtr out(BIO_new(BIO_s_mem()));
    PEM_write_bio_PKCS8PrivateKey(out.get(), key.get(), EVP_aes_128_cbc(), passphrase.data(),
                                  static_cast<int>(passphrase.size()), nullptr, nullptr);
    return text_of(out.get());
  }

 private:
  struct Deleter {
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
    void operator()(X509* certificate) const { X509_free(certificate); }
    void operator()(BIO* bio) const { BIO_free(bio); }
  };
  using KeyPtr = std::unique_ptr<EVP_PKEY, Deleter>;
  using CertPtr = std::unique_ptr<X509, Deleter>;
  using BioPtr = std::unique_ptr<BIO, Deleter>;

  static void fill(X509* made, const CertificateWish& wish, EVP_PKEY* key, X509* issuer) {
    static long serial = 1000;
    X509_set_version(made, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(made), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(made), wish.from_s);
    X509_gmtime_adj(X509_getm_notAfter(made), wish.until_s);
    X509_set_pubkey(made, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(made), "CN", MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(wish.name.c_str()), -1, -1,
                               0);
    X509_set_issuer_name(made, X509_get_subject_name(issuer));
  }
  static void extend(X509* made, X509* issuer, int nid, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, made, nullptr, nullptr, 0);
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
    if (extension == nullptr) throw std::runtime_error("no such extension: " + value);
    X509_add_ext(made, extension, -1);
    X509_EXTENSION_free(extension);
  }
  void sign(X509* made) const {
    if (X509_sign(made, key_.get(), EVP_sha256()) == 0) throw std::runtime_error("not signed");
  }
  static std::string text_of(BIO* bio) {
    char* text = nullptr;
    const long size = BIO_get_mem_data(bio, &text);
    return {text, static_cast<size_t>(size)};
  }
  static std::string pem_of(X509* certificate) {
    const BioPtr out(BIO_new(BIO_s_mem()));
    PEM_write_bio_X509(out.get(), certificate);
    return text_of(out.get());
  }
  static std::string pem_of(EVP_PKEY* key) {
    const BioPtr out(BIO_new(BIO_s_mem()));
    PEM_write_bio_PrivateKey(out.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
    return text_of(out.get());
  }

  KeyPtr key_;
  CertPtr own_;
};

}  // namespace weir::test
