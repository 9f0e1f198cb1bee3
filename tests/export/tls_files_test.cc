// Certificates, keys, seeds and credentials as files: what is wrong with them is said in words.
#include "export/tls_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <ctime>
#include <filesystem>
#include <functional>

#include "export/nats_credentials.h"
#include "support/certificates.h"
#include "support/nkeys.h"
#include "support/program.h"

namespace weir::outbound {
namespace {

using test::Authority;
using test::CertificateWish;
using test::NatsKey;
using test::write_file;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class TlsFilesTest : public ::testing::Test {
 protected:
  TlsFilesTest() {
    write(config_.ca_file, authority_.pem());
    write_pair(authority_.issue());
  }

  static void write(const std::string& path, const std::string& text) {
    std::filesystem::remove(path);
    write_file(path, text);
    ::chmod(path.c_str(), 0600);
  }
  void write_pair(const test::CertificatePair& pair) const {
    write(config_.cert_file, pair.certificate);
    write(config_.key_file, pair.key);
  }
  std::vector<TlsFinding> inspect() const {
    return inspect_tls_files(config_, static_cast<uint64_t>(std::time(nullptr)));
  }

  test::TemporaryFolder folder_;
  Authority authority_;
  TlsConfig config_{TlsMode::mtls, folder_ / "root.pem", folder_ / "own.pem", folder_ / "key.pem", ""};
};

TEST_F(TlsFilesTest, FindsNothingInGoodFiles) {
  EXPECT_THAT(inspect(), IsEmpty());
  const auto made = read_tls_files(config_);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_THAT(made->chain, SizeIs(1));
  EXPECT_THAT(made->authorities, SizeIs(1));
  EXPECT_NE(made->key, nullptr);
}

TEST_F(TlsFilesTest, NamesTheFileThatCannotBeUsedAndWhy) {
  const auto other = authority_.issue();
  const std::string& ca = config_.ca_file;
  const std::string& own = config_.cert_file;
  const std::string& key = config_.key_file;
  const struct {
    std::function<void()> spoil;
    TlsFile file;
    std::string text;
  } cases[] = {
      {[&] { std::filesystem::remove(ca); }, TlsFile::ca, "CA file " + ca + ": No such file"},
      {[&] { std::filesystem::remove(own); }, TlsFile::certificate,
       "certificate " + own + ": No such file"},
      {[&] { std::filesystem::remove(key); }, TlsFile::key,
       "private key " + key + ": No such file"},
      {[&] { write(own, ""); }, TlsFile::certificate, own + ": the file is empty"},
      {[&] { write(own, "hello\n"); }, TlsFile::certificate, "holds no certificate in PEM form"},
      {[&] { write(own, other.key); }, TlsFile::certificate,
       "holds a private key and no certificate"},
      {[&] {
         std::string cut = other.certificate;
         write(own, cut.replace(cut.size() / 2, 8, "!!!!!!!!"));
       },
       TlsFile::certificate, "certificate 1 in it is damaged"},
      {[&] { write(key, "hello\n"); }, TlsFile::key, "holds no private key in PEM form"},
      {[&] { write(key, other.certificate); }, TlsFile::key,
       "holds a certificate and no private key"},
      {[&] { write(key, Authority::protect(other.key, "secret")); }, TlsFile::key,
       "is protected by a passphrase"},
      {[&] { write(key, other.key); }, TlsFile::key, "does not belong to the certificate in " + own},
      {[&] {
         std::filesystem::remove(ca);
         std::filesystem::create_directory(ca);
       },
       TlsFile::ca, ca + ": is a folder"},
      {[&] { write(ca, std::string(kSecretFileOctetsMax + 1, 'x')); }, TlsFile::ca, "is larger than"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.text);
    std::filesystem::remove_all(ca);
    write(ca, authority_.pem());
    write_pair(authority_.issue());
    c.spoil();
    const auto findings = inspect();
    ASSERT_THAT(findings, SizeIs(1));
    EXPECT_EQ(findings[0].kind, TlsFinding::Kind::unusable);
    EXPECT_EQ(findings[0].file, c.file);
    EXPECT_THAT(findings[0].text, HasSubstr(c.text));
    EXPECT_THAT(findings[0].text, testing::Not(HasSubstr("secret")));
    const auto made = read_tls_files(config_);
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().message, findings[0].text);
  }
}

TEST_F(TlsFilesTest, SaysWhatAServerMayRefuse) {
  const Authority stranger("another CA");
  const auto with = [&](const std::function<void(CertificateWish&)>& change) {
    CertificateWish wish;
    change(wish);
    write_pair(authority_.issue(wish));
  };
  const struct {
    std::function<void()> spoil;
    TlsFinding::Kind kind;
    const char* text;
  } cases[] = {
      {[&] { with([](auto& w) { w.until_s = -60; }); }, TlsFinding::Kind::expired, "CN=localhost expired at 20"},
      {[&] { with([](auto& w) { w.from_s = 3600; }); }, TlsFinding::Kind::not_yet_valid,
       "is not valid before 20"},
      {[&] { with([](auto& w) { w.until_s = 5 * 86'400; }); }, TlsFinding::Kind::expires_soon,
       "expires at 20"},
      {[&] { with([](auto& w) { w.usage = "serverAuth"; }); }, TlsFinding::Kind::unlikely,
       "is not for clients"},
      {[&] { write_pair(stranger.issue()); }, TlsFinding::Kind::unlikely,
       "was not issued by a CA of"},
      {[&] {
         write_pair(authority_.issue());
         ::chmod(config_.key_file.c_str(), 0644);
       },
       TlsFinding::Kind::readable_by_others, "can be read by every user"},
      {[&] { write(config_.ca_file, Authority("test CA", -60).pem()); }, TlsFinding::Kind::expired,
       "CN=test CA expired"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.text);
    write(config_.ca_file, authority_.pem());
    c.spoil();
    const auto findings = inspect();
    ASSERT_GE(findings.size(), 1u);
    EXPECT_EQ(findings[0].kind, c.kind) << findings[0].text;
    EXPECT_THAT(findings[0].text, HasSubstr(c.text));
    EXPECT_TRUE(read_tls_files(config_)) << "that is for the server to judge";
  }
}

TEST_F(TlsFilesTest, FollowsAChainToItsCa) {
  const Authority middle = authority_.below("a CA below");
  auto pair = middle.issue();
  write_pair(pair);
  ASSERT_THAT(inspect(), SizeIs(1));
  EXPECT_THAT(inspect()[0].text, HasSubstr("was not issued by a CA of"));
  pair.certificate += middle.pem();
  write_pair(pair);
  EXPECT_THAT(inspect(), IsEmpty());
  EXPECT_THAT(read_tls_files(config_)->chain, SizeIs(2));
}

TEST_F(TlsFilesTest, ReadsOnlyWhatTheModeNeeds) {
  std::filesystem::remove(config_.cert_file);
  std::filesystem::remove(config_.key_file);
  config_.mode = TlsMode::tls;
  EXPECT_THAT(inspect(), IsEmpty());
  std::filesystem::remove(config_.ca_file);
  EXPECT_THAT(inspect(), SizeIs(1));
  config_.ca_file.clear();
  EXPECT_THAT(inspect(), IsEmpty());
  config_.mode = TlsMode::none;
  config_.ca_file = "/nowhere";
  EXPECT_THAT(inspect(), IsEmpty());
}

TEST_F(TlsFilesTest, StampsDifferOnceAFileIsWrittenReplacedOrGone) {
  const std::vector<std::string> files{config_.cert_file, "", config_.key_file};
  FileStamps before(files);
  EXPECT_EQ(before, FileStamps(files));
  // As a volume of secrets does it: another file under the same name, perhaps as old.
  const auto written = std::filesystem::last_write_time(config_.cert_file);
  write_file(config_.cert_file + ".new", test::contents_of(config_.cert_file));
  std::filesystem::rename(config_.cert_file + ".new", config_.cert_file);
  std::filesystem::last_write_time(config_.cert_file, written);
  EXPECT_NE(before, FileStamps(files));
  before = FileStamps(files);
  write_file(config_.key_file, "longer than it was, whatever the clock says" + std::string(999, ' '));
  EXPECT_NE(before, FileStamps(files));
  before = FileStamps(files);
  std::filesystem::remove(config_.key_file);
  EXPECT_NE(before, FileStamps(files));
  EXPECT_EQ(FileStamps(files), FileStamps(files));
}

// ── seeds and credentials ────────────────────────────────────────────────────────────────────────

TEST(NatsCredentials, FindTheUserOfASeed) {
  const NatsKey user(NatsKey::Kind::user);
  for (const std::string& text :
       {user.seed(), "\n  " + user.seed() + "\r\n",
        "-----BEGIN USER NKEY SEED-----\n" + user.seed() + "\n------END USER NKEY SEED------\n"}) {
    const auto found = public_key_of_seed(text);
    ASSERT_TRUE(found) << found.error().message;
    EXPECT_EQ(*found, user.public_key());
  }
  // One that others made: nkeys' own example pair would do as well, but is theirs.
  EXPECT_EQ(user.public_key().size(), 56u);
  EXPECT_EQ(user.public_key()[0], 'U');
  EXPECT_EQ(user.seed().substr(0, 2), "SU");
}

TEST(NatsCredentials, SayWhatIsWrongWithASeedAndNotWhatItIs) {
  const NatsKey user(NatsKey::Kind::user);
  std::string damaged = user.seed();
  damaged[20] = damaged[20] == 'A' ? 'B' : 'A';
  const struct {
    std::string text;
    const char* error;
  } cases[] = {
      {"", "holds no NKey seed"},
      {user.public_key(), "holds no NKey seed"},
      {damaged, "is damaged"},
      {user.seed().substr(0, 40), "is damaged"},
      {user.seed() + "AAAA", "is damaged"},
      {"SU!" + user.seed(), "is damaged"},
      {NatsKey(NatsKey::Kind::account).seed(), "is not a user's"},
  };
  for (const auto& c : cases) {
    const auto found = public_key_of_seed(c.text);
    ASSERT_FALSE(found) << c.text;
    EXPECT_THAT(found.error().message,
                AllOf(HasSubstr(c.error), testing::Not(HasSubstr(user.seed().substr(0, 10)))));
  }
}

TEST(NatsCredentials, OfAFileAreReadAndJudged) {
  const test::TemporaryFolder folder;
  const std::string path = folder / "weir.creds";
  const test::NatsOperator nats;
  write_file(path, nats.credentials(3600));
  auto read = read_credentials_file(path);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->user, nats.user.public_key());
  EXPECT_GT(read->expires_at, static_cast<uint64_t>(std::time(nullptr)));
  write_file(path, nats.credentials());
  EXPECT_EQ(read_credentials_file(path)->expires_at, 0u);

  const struct {
    std::string text;
    const char* error;
  } cases[] = {
      {"", "holds no user JWT"},
      {nats.user.seed(), "holds no user JWT"},
      {"-----BEGIN NATS USER JWT-----\n" + nats.user_jwt() + "\n------END NATS USER JWT------\n",
       "holds no seed"},
      {nats.user.credentials("ey.x"), "the JWT in it is damaged"},
      {nats.user.credentials("ey.e30.e30"), "the JWT in it is damaged"},
      {NatsKey(NatsKey::Kind::user).credentials(nats.user_jwt()), "are not of the same user"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.error);
    write_file(path, c.text);
    read = read_credentials_file(path);
    ASSERT_FALSE(read);
    EXPECT_THAT(read.error().message, AllOf(HasSubstr("credentials file " + path + ": "), HasSubstr(c.error)));
  }
  std::filesystem::remove(path);
  EXPECT_THAT(read_credentials_file(path).error().message, HasSubstr("No such file"));
}

}  // namespace
}  // namespace weir::outbound
