// The keys of the connection's protection: what they mean together, and what is said of the files.
#include "control/config/config_security.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "control/config/config_describe.h"
#include "support/certificates.h"
#include "support/nkeys.h"
#include "support/program.h"

namespace weir::control {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr const char* kListener =
    "listeners: [{protocol: netflow, listen_addr: '127.0.0.1:2055'}]\n";

Result<LoadedConfig> read(const std::string& more, std::vector<const char*> environment = {}) {
  return read_config(kListener + more, "w.yaml", environment);
}

TEST(ConfigSecurity, ResolvesRelativeNamesInTheFolderOfCertificates) {
  const auto loaded = read(
      "nats_url: 'nats://a:1,nats://b:2'\n"
      "security: {mode: mtls, cert_dir: /c, server_name: nats.example.net,\n"
      "  tls: {cert_file: own.pem, key_file: /k/own-key.pem, ca_file: root.pem}}\n");
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_THAT(loaded->warnings, IsEmpty());
  const outbound::NatsConfig nats = nats_config(loaded->config);
  EXPECT_THAT(nats.urls, ElementsAre("nats://a:1", "nats://b:2"));
  EXPECT_EQ(nats.tls.mode, outbound::TlsMode::mtls);
  EXPECT_EQ(nats.tls.cert_file, "/c/own.pem");
  EXPECT_EQ(nats.tls.key_file, "/k/own-key.pem");
  EXPECT_EQ(nats.tls.ca_file, "/c/root.pem");
  EXPECT_EQ(nats.tls.server_name, "nats.example.net");
}

TEST(ConfigSecurity, TakesTlsInTheUrlForADemand) {
  const auto loaded = read("nats_url: tls://a:1\n");
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->config.security.mode, SecurityMode::tls);
  EXPECT_EQ(nats_config(loaded->config).tls.mode, outbound::TlsMode::tls);
  EXPECT_EQ(nats_config(read("nats_url: nats://a:1\n")->config).tls.mode, outbound::TlsMode::none);
}

TEST(ConfigSecurity, RefusesWhatContradictsItself) {
  const struct {
    std::string text;
    std::string error;
  } cases[] = {
      {"nats_url: tls://a\nsecurity: {mode: none}",
       "w.yaml:3:18: security.mode: none contradicts tls:// in nats_url"},
      {"security: {mode: mtls, tls: {cert_file: a.pem}}", "security.tls.key_file: is missing"},
      {"security: {mode: mtls, tls: {key_file: a.pem}}", "security.tls.cert_file: is missing"},
      {"security: {mode: spiffe}",
       "security.mode: \"spiffe\" is not supported yet; allowed: none, tls, mtls"},
      {"nats_user: a\nnats_token: b",
       "nats_url: nats_user, nats_token: only one of them can say who we are"},
      {"nats_url: 'nats://a:b@h'\nnats_creds_file: /x",
       "a user in nats_url, nats_creds_file: only one"},
      {"nats_creds_file: /x\nnats_nkey_file: /y", "nats_creds_file, nats_nkey_file: only one"},
      {"nats_password: geheim", "nats_password: is set without nats_user"},
  };
  for (const auto& c : cases) {
    const auto loaded = read(c.text);
    ASSERT_FALSE(loaded) << c.text;
    EXPECT_THAT(loaded.error().message, AllOf(HasSubstr(c.error), Not(HasSubstr("geheim"))));
  }
}

TEST(ConfigSecurity, WarnsOfWhatMeansNothing) {
  const struct {
    std::string text;
    std::string warning;
  } cases[] = {
      {"security: {tls: {ca_file: a.pem}}",
       "security.tls.ca_file: means nothing with security.mode none"},
      {"security: {cert_dir: /c}", "security.cert_dir: means nothing with security.mode none"},
      {"security: {mode: tls, tls: {cert_file: a.pem}}",
       "security.tls.cert_file: means nothing with security.mode tls"},
      {"security: {mode: tls, tls: {client_ca_file: a.pem}}",
       "security.tls.client_ca_file: means nothing here"},
      {"security: {mode: tls, trust_domain: a}", "security.trust_domain: means nothing here"},
  };
  for (const auto& c : cases) {
    const auto loaded = read(c.text);
    ASSERT_TRUE(loaded) << loaded.error().message;
    EXPECT_THAT(loaded->warnings, ElementsAre(HasSubstr(c.warning))) << c.text;
  }
}

TEST(ConfigSecurity, ShowsNoSecret) {
  const auto loaded = read("nats_user: weir\nnats_password: geheim1\nnats_url: nats://h\n",
                           {"WEIR_NATS_PASSWORD=geheim2"});
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(nats_config(loaded->config).password, "geheim2");
  const auto token = read("nats_token: geheim3\n");
  ASSERT_TRUE(token);
  const auto url = read("nats_url: 'tls://a:geheim4@h:1,tls://geheim5@i'\n");
  ASSERT_TRUE(url) << url.error().message;
  const auto webhook = read("publishers: [{kind: http, url: 'https://a:geheim6@h/x?token=geheim7'}]\n");
  ASSERT_TRUE(webhook) << webhook.error().message;
  for (const auto* config : {&*loaded, &*token, &*url, &*webhook}) {
    const std::string shown = describe_values(*config) + describe_plan(config->config);
    EXPECT_THAT(shown, AllOf(HasSubstr("****"), Not(HasSubstr("geheim"))));
  }
}

class ConfigSecurityFiles : public testing::Test {
 protected:
  ConfigSecurityFiles() {
    put("root.pem", authority_.pem());
    put_pair(authority_.issue());
  }
  void put(const std::string& name, const std::string& text, unsigned mode = 0600) const {
    test::write_file(folder_ / name, text);
    ::chmod((folder_ / name).c_str(), mode);
  }
  void put_pair(const test::CertificatePair& pair) const {
    put("own.pem", pair.certificate);
    put("own-key.pem", pair.key);
  }
  std::string mutual() const {
    return "security: {mode: mtls, cert_dir: " + (folder_ / "") +
           ", tls: {cert_file: own.pem, key_file: own-key.pem, ca_file: root.pem}}\n";
  }
  /// Errors and warnings.
  service::ConfigReport check(const std::string& text, InUse in_use) const {
    service::ConfigReport report;
    const auto loaded = read(text);
    EXPECT_TRUE(loaded) << loaded.error().message;
    if (!loaded) return report;
    Findings findings(loaded->origins, report);
    is_usable_ = check_security_files(loaded->config, in_use, findings);
    return report;
  }

  test::TemporaryFolder folder_;
  test::Authority authority_;
  mutable bool is_usable_ = false;
};

TEST_F(ConfigSecurityFiles, AreFineWhenTheyAre) {
  const auto report = check(mutual(), InUse::refuse);
  EXPECT_THAT(report.errors(), IsEmpty());
  EXPECT_THAT(report.warnings(), IsEmpty());
  EXPECT_TRUE(is_usable_);
}

TEST_F(ConfigSecurityFiles, AreRefusedAtTheirKeyWhenTheyCannotBeUsed) {
  put_pair({authority_.issue().certificate, authority_.issue().key});
  auto report = check(mutual(), InUse::refuse);
  EXPECT_THAT(report.errors(),
              ElementsAre(AllOf(HasSubstr("w.yaml:2:"), HasSubstr("security.tls.key_file: "),
                                HasSubstr("does not belong to the certificate in"))));
  EXPECT_FALSE(is_usable_);
  report = check("nats_creds_file: /nowhere/x.creds\n", InUse::warn);
  EXPECT_THAT(report.errors(), ElementsAre(HasSubstr("nats_creds_file: credentials file "
                                                     "/nowhere/x.creds: No such file")));
  report = check("nats_nkey_file: /nowhere/x.nk\n", InUse::warn);
  EXPECT_THAT(report.errors(), ElementsAre(HasSubstr("nats_nkey_file: NKey seed file /nowhere/x.nk: "
                                                     "No such file")));
  report = check("nats_creds_file: /nowhere/x.creds\npublishers: [{kind: stdout}]\n", InUse::warn);
  EXPECT_THAT(report.errors(), IsEmpty()) << "nobody uses it";
}

TEST_F(ConfigSecurityFiles, WhoseTimeIsOverEndACheckAndNotARun) {
  test::CertificateWish over;
  over.until_s = -60;
  put_pair(authority_.issue(over));
  auto report = check(mutual(), InUse::warn);
  EXPECT_THAT(report.errors(), ElementsAre(AllOf(HasSubstr("security.tls.cert_file"),
                                                 HasSubstr("expired at"))));
  report = check(mutual(), InUse::refuse);
  EXPECT_THAT(report.errors(), IsEmpty());
  EXPECT_THAT(report.warnings(), ElementsAre(AllOf(HasSubstr("expired at"),
                                                   HasSubstr("taken without a restart"))));
  EXPECT_TRUE(is_usable_);

  put("weir.creds", test::NatsOperator().credentials(-60));
  const std::string creds = "nats_creds_file: " + (folder_ / "weir.creds") + "\n";
  EXPECT_THAT(check(creds, InUse::warn).errors(), ElementsAre(HasSubstr("JWT has expired")));
  EXPECT_THAT(check(creds, InUse::refuse).warnings(), ElementsAre(HasSubstr("JWT has expired")));
}

TEST_F(ConfigSecurityFiles, ThatOthersCanReadAreWarnedOf) {
  put("own-key.pem", test::contents_of(folder_ / "own-key.pem"), 0644);
  EXPECT_THAT(check(mutual(), InUse::refuse).warnings(),
              ElementsAre(AllOf(HasSubstr("security.tls.key_file"),
                                HasSubstr("can be read by every user"))));
  put("weir.creds", test::NatsOperator().credentials(), 0644);
  EXPECT_THAT(check("nats_creds_file: " + (folder_ / "weir.creds") + "\n", InUse::warn).warnings(),
              ElementsAre(HasSubstr("can be read by every user")));
  put("weir.nk", test::NatsKey(test::NatsKey::Kind::user).seed(), 0640);
  EXPECT_THAT(check("nats_nkey_file: " + (folder_ / "weir.nk") + "\n", InUse::warn).warnings(),
              IsEmpty());
}

}  // namespace
}  // namespace weir::control
