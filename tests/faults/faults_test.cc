// faults_test.cc — What happens to records when brokers, disks, networks, certificates and the collector
// itself fail, counted: sent, acknowledged, stored twice, lost.
//
// The programs run as an operator runs them, with drop_policy spool, under load. WEIR_FAULTS=full takes the
// time that the faults of docs/DELIVERY.md take; else they are shorter. WEIR_FAULTS_TABLE names a file for
// the table.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "export/jetstream_reader.h"
#include "export/nats_client.h"
#include "flow.pb.h"
#include "support/certificates.h"
#include "support/nats_server.h"
#include "support/ports.h"
#include "support/process.h"
#include "support/program.h"

namespace weir {
namespace {

using nlohmann::json;
using test::built;
using test::eventually;
using test::NatsServer;
using test::Process;
using namespace std::chrono_literals;

constexpr auto kPatience = 120s;  // a hang, not a measure

bool is_full() {
  const char* value = std::getenv("WEIR_FAULTS");
  return value != nullptr && std::string_view(value) == "full";
}

/// One row of the table.
struct Row {
  std::string fault;
  uint64_t sent = 0;
  uint64_t acknowledged = 0;
  uint64_t spooled = 0;
  uint64_t duplicates = 0;  // messages stored twice
  uint64_t lost = 0;
  std::string note;
  bool was_measured = true;
};

std::vector<Row>& rows() {
  static std::vector<Row> all;
  return all;
}

std::string line_of(const Row& row) {
  if (!row.was_measured) return "| " + row.fault + " | – | – | – | – | – | not measured here: " + row.note + " |\n";
  return "| " + row.fault + " | " + std::to_string(row.sent) + " | " + std::to_string(row.acknowledged) + " | " +
         std::to_string(row.spooled) + " | " + std::to_string(row.duplicates) + " | " + std::to_string(row.lost) +
         " | " + row.note + " |\n";
}

class Table : public ::testing::Environment {
 public:
  void TearDown() override {
    std::string text =
        "| fault | records sent | acknowledged | by way of the disk | stored twice | lost | |\n"
        "|---|---|---|---|---|---|---|\n";
    for (const Row& row : rows()) text += line_of(row);
    if (const char* path = std::getenv("WEIR_FAULTS_TABLE"); path != nullptr) {
      std::ofstream(path) << text;
    } else {
      std::fputs(text.c_str(), stderr);
    }
  }
};

const auto* const kTable = ::testing::AddGlobalTestEnvironment(new Table);

class Faults : public ::testing::Test {
 protected:
  void SetUp() override {
    if (NatsServer::binary().empty()) GTEST_SKIP() << "nats-server is not installed";
  }
  void TearDown() override {
    if (HasFailure() && weir_) std::fputs(weir_->err().c_str(), stderr);
  }

  /// The table says so too: no row of it is missing.
  void skip(const std::string& fault, const std::string& why) {
    row_.fault = fault;
    row_.note = why;
    row_.was_measured = false;
    rows().push_back(row_);
    GTEST_SKIP() << why;
  }

  std::string control_socket() const { return folder_ / "control.sock"; }

  /// Starts the collector. Small bounds, so that the disk is needed soon.
  void start(const std::string& more = "", std::vector<std::string> before = {}) {
    const std::string path = folder_ / "weir.yaml";
    std::ofstream(path) << "listeners: [{protocol: netflow, listen_addr: '127.0.0.1:" << port_
                        << "', buffer_size: 16MiB}]\n"
                        << "control_socket: {path: " << control_socket() << "}\n"
                        << "state_dir: " << (folder_ / "state") << "\n"
                        << "nats_url: " << url_ << "\n"
                        << "stream_max_bytes: " << stream_max_bytes_ << "\n"
                        << "stream_duplicate_window_secs: 600\n"
                        << "publish_timeout_ms: 1000\n"
                        << "batch_bytes: 16KiB\n"
                        << "channel_size: 200\n"
                        << "drop_policy: spool\n"
                        << more;
    std::vector<std::string> command = std::move(before);
    for (const std::string& word : {built("weir"), std::string("run"), std::string("-c"), path}) {
      command.push_back(word);
    }
    weir_ = std::make_unique<Process>(folder_, command);
    ASSERT_TRUE(eventually([&] { return ledger().is_object() || !weir_->is_running(); }));
    ASSERT_TRUE(weir_->is_running()) << weir_->err();
  }

  json ledger() {
    Process ctl(folder_, {built("weirctl"), "--socket", control_socket(), "--json", "ledger"});
    ctl.wait();
    return json::parse(ctl.out(), nullptr, false);
  }

  /// What weirctl ready ends with.
  int ready() {
    Process ctl(folder_, {built("weirctl"), "--socket", control_socket(), "ready"});
    return ctl.wait();
  }

  /// Records a second for a while, from a program of their own.
  class Load {
   public:
    Load(Faults& test, int seconds, int per_second, std::vector<std::string> before = {})
        : test_(test) {
      std::vector<std::string> command = std::move(before);
      for (const std::string& word :
           {built("weir"), std::string("generate"), std::string("--to"),
            "127.0.0.1:" + std::to_string(test.port_), std::string("--protocol"),
            std::string("v5"), std::string("--flows"), std::string("30"), std::string("--count"),
            std::to_string(seconds * per_second / 30), std::string("--rate"),
            std::to_string(per_second / 30), std::string("--json")}) {
        command.push_back(word);
      }
      process_ = std::make_unique<Process>(test.folder_, command);
    }
    /// From now on nobody may listen.
    void allow_refusals() { may_be_refused_ = true; }
    /// Waits for its end.
    ~Load() {
      const int status = process_->wait(kPatience);
      EXPECT_TRUE(status == 0 || may_be_refused_) << process_->err();
      test_.row_.sent += json::parse(process_->out()).at("records").get<uint64_t>();
    }

   private:
    Faults& test_;
    std::unique_ptr<Process> process_;
    bool may_be_refused_ = false;
  };

  /// A line of what the kernel says of the collector, in octets; 0: it says nothing.
  static uint64_t memory_of_weir(const std::string& what) {
    const std::string self = std::to_string(::getpid());
    std::ifstream children("/proc/self/task/" + self + "/children");
    for (std::string pid; children >> pid;) {
      std::ifstream command("/proc/" + pid + "/cmdline");
      std::string words;
      std::getline(command, words);
      if (words.find(std::string("weir\0run\0", 9)) == std::string::npos) continue;
      std::ifstream status("/proc/" + pid + "/status");
      for (std::string name; status >> name;) {
        uint64_t kib = 0;
        if (name == what && status >> kib) return kib << 10;
      }
    }
    return 0;
  }

  static uint64_t at(const json& object, std::initializer_list<const char*> path) {
    const json* value = &object;
    for (const char* key : path) value = &value->at(key);
    return value->get<uint64_t>();
  }

  /// Whatever was received has been acknowledged or lost.
  bool is_settled() {
    const json l = ledger();
    if (!l.is_object()) return false;
    const json& p = l["publishers"][0];
    return at(p, {"records", "in_flight"}) == 0 && at(p, {"records", "waiting"}) == 0 &&
           at(p, {"spool", "records", "stored"}) == 0 &&
           at(l, {"records", "encoded"}) >= row_.sent - sent_before_;
  }

  void settle() { EXPECT_TRUE(eventually([&] { return is_settled(); }, kPatience)) << ledger(); }

  /// Ends the collector, and looks at its books and at what the stream has.
  enum class Stream : uint8_t { has_all, was_deleted };
  void finish(const std::string& fault, Stream stream = Stream::has_all) {
    settle();
    const json l = ledger();
    const json& p = l["publishers"][0];
    EXPECT_EQ(l["balanced"], true) << l["discrepancies"];
    EXPECT_EQ(at(l, {"records", "encoded"}), row_.sent - sent_before_) << "all were received";
    row_.fault = fault;
    row_.acknowledged =
        at(p, {"records", "acknowledged"}) + at(p, {"spool", "records", "replayed"});
    row_.spooled += at(p, {"records", "spooled"});
    EXPECT_EQ(at(p, {"records", "failed"}), 0u) << p;
    EXPECT_EQ(at(p, {"records", "dropped"}), 0u) << p;
    EXPECT_EQ(weir_->terminate(), 0) << weir_->err();
    const Stored stored = read_stream();
    row_.duplicates = stored.duplicates;
    if (stream == Stream::has_all) {
      // Whether a batch was stored is not known when its server dies; a limit that is lower then gives it other ids.
      const uint64_t once = stored.records - stored.also_in_parts;
      row_.lost = row_.sent - once;
      EXPECT_EQ(once + lost_expected_, row_.sent);
      EXPECT_TRUE(limit_is_lowered_ || stored.also_in_parts == 0u) << stored.also_in_parts;
    } else {
      row_.lost = row_.sent - row_.acknowledged;
      EXPECT_EQ(row_.acknowledged, row_.sent);
    }
    EXPECT_EQ(row_.duplicates, 0u);
    rows().push_back(row_);
  }

  struct Stored {
    uint64_t records = 0;
    uint64_t duplicates = 0;
    uint64_t also_in_parts = 0;  // of these: of batches that are there whole
    std::map<uint32_t, uint64_t> by_datagram;  // records, by the sequence number of their datagram
  };
  Stored read_stream() {
    Stored stored;
    outbound::ReaderConfig config;
    config.nats = reader_nats_;
    config.nats.urls = {reader_url_.empty() ? nats_.url() : reader_url_};
    config.stream = "events";
    config.subject = "flows.>";
    auto reader = outbound::JetStreamReader::open(config);
    EXPECT_TRUE(reader) << reader.error().message;
    if (!reader) return stored;
    std::set<std::string> ids;
    std::map<std::string, uint64_t> in_parts;  // records, by the batch's own id
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while ((*reader)->pending() > 0 && std::chrono::steady_clock::now() < end) {
      auto next = (*reader)->next(200);
      EXPECT_TRUE(next);
      if (!next || !*next) continue;
      flowpb::FlowBatch flows;
      EXPECT_TRUE(parse_flows(**next, flows));
      const std::string& id = (*next)->id;
      if (!ids.insert(id).second) {
        ++stored.duplicates;
      } else {
        stored.records += static_cast<uint64_t>(flows.flows_size());
        if (std::count(id.begin(), id.end(), '.') == 4) in_parts[id.substr(0, id.rfind('.'))] += static_cast<uint64_t>(flows.flows_size());
        for (const auto& flow : flows.flows()) ++stored.by_datagram[flow.sequence_num()];
      }
    }
    for (const auto& [whole, records] : in_parts)
      if (ids.contains(whole)) stored.also_in_parts += records;
    return stored;
  }

  test::TemporaryFolder folder_;
  NatsServer nats_;
  std::string url_ = nats_.url();
  std::string reader_url_;
  outbound::NatsConfig reader_nats_;
  uint16_t port_ = test::free_udp_port();
  std::string stream_max_bytes_ = "64MiB";
  std::unique_ptr<Process> weir_;
  Row row_;
  uint64_t sent_before_ = 0;    // by runs before the one that finishes
  uint64_t lost_expected_ = 0;  // by a kill of the collector
  bool limit_is_lowered_ = false;  // while batches are in flight
};

TEST_F(Faults, BrokerKilledTwiceUnderLoad) {
  ASSERT_TRUE(nats_.start());
  start();
  {
    Load load(*this, 8, 15'000);
    for (int i = 0; i < 2; ++i) {
      std::this_thread::sleep_for(2s);
      nats_.kill();
      std::this_thread::sleep_for(1s);
      ASSERT_TRUE(nats_.start());
    }
  }
  finish("nats-server killed with SIGKILL and started again, twice");
}

TEST_F(Faults, BrokerStopped) {
  ASSERT_TRUE(nats_.start());
  stream_max_bytes_ = "256MiB";  // all of it, or the stream itself lets go what is oldest
  constexpr uint64_t kMiB = 1 << 20;
  start("buffer_bytes: 16MiB\n");
  const int seconds = is_full() ? 30 : 5;
  uint64_t resident_before = 0;
  {
    Load load(*this, seconds + 4, 15'000);
    std::this_thread::sleep_for(2s);
    resident_before = memory_of_weir("VmRSS:");
    nats_.pause();
    std::this_thread::sleep_for(std::chrono::seconds(seconds));
    nats_.resume();
  }
  ASSERT_GT(resident_before, 0u);
  // Buffers of batches, those that a spool is read back into, and what is written beside them.
  EXPECT_LE(memory_of_weir("VmHWM:"), resident_before + (16 + 16) * kMiB);
  EXPECT_GT(at(ledger()["publishers"][0], {"records", "spooled"}), 0u);
  finish("nats-server stopped (SIGSTOP) for " + std::to_string(seconds) + " s");
}

TEST_F(Faults, BrokerAbsentAtTheStart) {
  start();
  { Load load(*this, 4, 15'000); }
  EXPECT_GT(at(ledger()["publishers"][0], {"spool", "records", "stored"}), 0u);
  EXPECT_EQ(ready(), 0) << "what it takes it keeps";
  ASSERT_TRUE(nats_.start());
  finish("nats-server absent for the first 4 s");
}

TEST_F(Faults, BrokersDiskFull) {
  const char* const kFault = "nats-server's disk full";
  if (::geteuid() != 0) return skip(kFault, "needs root, to mount a small file system");
  const std::string store = (nats_.folder() / "store").string();
  std::filesystem::create_directories(store);
  if (::mount("tmpfs", store.c_str(), "tmpfs", 0, "size=96m") != 0) {
    return skip(kFault, "no file system can be mounted here");
  }
  ASSERT_TRUE(nats_.start());
  start();
  {
    Load load(*this, 3, 6'000);
  }
  const std::string ballast = store + "/ballast";
  {
    std::ofstream file(ballast, std::ios::binary);
    const std::string block(64 << 10, 'x');
    struct statvfs room {};
    while (::statvfs(store.c_str(), &room) == 0 && room.f_bavail * room.f_bsize > (1u << 20)) {
      file.write(block.data(), static_cast<std::streamsize>(block.size()));
      file.flush();
    }
  }
  { Load load(*this, 5, 15'000); }
  EXPECT_TRUE(eventually([&] {
    return at(ledger()["publishers"][0], {"spool", "records", "stored"}) > 0;
  })) << ledger();
  std::filesystem::remove(ballast);
  // Debian's nats-server 2.9.10 takes nothing more until it is started again.
  nats_.kill();
  ASSERT_TRUE(nats_.start());
  row_.note = "after room was made, the server was started again";
  finish(kFault);
  nats_.kill();
  ::umount(store.c_str());
}

TEST_F(Faults, StreamDeletedUnderWay) {
  ASSERT_TRUE(nats_.start());
  start();
  {
    Load load(*this, 6, 15'000);
    std::this_thread::sleep_for(3s);
    outbound::NatsConfig config;
    config.urls = {nats_.url()};
    auto client = outbound::NatsClient::make(config);
    ASSERT_TRUE(client) << client.error().message;
    ASSERT_TRUE((*client)->connect());
    const auto answer = (*client)->request("$JS.API.STREAM.DELETE.events", "", 5000);
    ASSERT_TRUE(answer) << answer.error().message;
  }
  row_.note = "acknowledged ones are counted: what the deleted stream had is gone with it";
  finish("stream deleted under way", Stream::was_deleted);
}

TEST_F(Faults, SlowConsumer) {
  ASSERT_TRUE(nats_.start());
  start();
  outbound::ReaderConfig config;
  config.nats.urls = {nats_.url()};
  {
    Load load(*this, 6, 30'000);
    std::this_thread::sleep_for(1s);
    auto reader = outbound::JetStreamReader::open(config);
    ASSERT_TRUE(reader) << reader.error().message;
    for (int i = 0; i < 4; ++i) {
      ASSERT_TRUE((*reader)->next(1000));
      std::this_thread::sleep_for(1s);
    }
  }
  finish("consumer that reads a message a second");
}

TEST_F(Faults, MaxPayloadSmallerThanABatch) {
  nats_.set_extra("max_payload: 4096");
  ASSERT_TRUE(nats_.start());
  start();
  { Load load(*this, 4, 15'000); }
  finish("`max_payload` of 4 KiB, batches of 16 KiB");
}

TEST_F(Faults, MaxPayloadSmallerAfterARestart) {
  ASSERT_TRUE(nats_.start());
  start();
  {
    Load load(*this, 6, 15'000);
    std::this_thread::sleep_for(2s);
    nats_.kill();
    nats_.set_extra("max_payload: 4096");
    limit_is_lowered_ = true;
    std::this_thread::sleep_for(1s);
    ASSERT_TRUE(nats_.start());
  }
  finish("killed, and started with a `max_payload` of 4 KiB");
}

/// A network that nobody else sees: what is started meanwhile is in it. It goes with the test, however that
/// ends, and with it all that was made there.
class OwnNetwork {
 public:
  OwnNetwork() : before_(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC)) {
    is_made_ = before_ >= 0 && ::unshare(CLONE_NEWNET) == 0;
  }
  ~OwnNetwork() {
    if (is_made_ && ::setns(before_, CLONE_NEWNET) != 0) ADD_FAILURE() << "this network stays";
    if (before_ >= 0) ::close(before_);
  }
  OwnNetwork(const OwnNetwork&) = delete;
  OwnNetwork& operator=(const OwnNetwork&) = delete;
  bool is_made() const noexcept { return is_made_; }

 private:
  int before_;
  bool is_made_ = false;
};

TEST_F(Faults, NetworkBlackHoled) {
  const int seconds = is_full() ? 20 : 5;
  const std::string fault = "network black-holed for " + std::to_string(seconds) + " s";
  if (::geteuid() != 0) return skip(fault, "needs root, for network namespaces");
  const OwnNetwork here;
  if (!here.is_made()) return skip(fault, "no network namespace can be made here");
  // The collector's is another one, which lasts as long as a process that does nothing, and that no longer
  // than this one.
  Process holder(folder_, {"unshare", "--net", "sh", "-c", "echo $$; exec sleep infinity"});
  ASSERT_TRUE(eventually([&] { return holder.out().ends_with('\n') || !holder.is_running(); }));
  ASSERT_TRUE(holder.is_running()) << holder.err();
  const std::string pid = holder.out().substr(0, holder.out().size() - 1);
  const std::vector<std::string> there = {"nsenter", "--net=/proc/" + pid + "/ns/net"};
  const auto ip = [&](const std::string& arguments) {
    return std::system(("ip " + arguments + " >/dev/null 2>&1").c_str()) == 0;
  };
  const auto ip_there = [&](const std::string& arguments) {
    return std::system((there[0] + " " + there[1] + " ip " + arguments + " >/dev/null 2>&1").c_str()) == 0;
  };
  ASSERT_TRUE(ip("link add wf0 type veth peer name wf1 netns " + pid));
  ASSERT_TRUE(ip("addr add 198.51.100.1/30 dev wf0") && ip("link set wf0 up") && ip("link set lo up"));
  ASSERT_TRUE(ip_there("addr add 198.51.100.2/30 dev wf1") && ip_there("link set wf1 up") &&
              ip_there("link set lo up"));
  nats_.set_address("0.0.0.0");
  ASSERT_TRUE(nats_.start());
  url_ = "nats://198.51.100.1" + nats_.url().substr(nats_.url().rfind(':'));
  start("", there);
  {
    Load load(*this, seconds + 4, 15'000, there);
    std::this_thread::sleep_for(2s);
    EXPECT_TRUE(ip("route add blackhole 198.51.100.2/32"));  // answers go nowhere
    std::this_thread::sleep_for(std::chrono::seconds(seconds));
    EXPECT_TRUE(ip("route del blackhole 198.51.100.2/32"));
  }
  finish(fault);
}

class CertificateFaults : public Faults {
 protected:
  /// The server shows a certificate of `authority`; the collector knows `authority_`.
  void serve(const test::Authority& authority, const test::CertificateWish& wish) {
    const test::CertificatePair pair = authority.issue(wish);
    test::write_file(folder_ / "server.pem", pair.certificate);
    test::write_file(folder_ / "server-key.pem", pair.key);
    nats_.set_extra("tls { cert_file: \"" + (folder_ / "server.pem") + "\", key_file: \"" +
                    (folder_ / "server-key.pem") + "\" }");
  }
  void begin() {
    test::write_file(folder_ / "root.pem", authority_.pem());
    url_ = "tls://" + nats_.url().substr(7);
    reader_url_ = url_;
    reader_nats_.tls.mode = outbound::TlsMode::tls;
    reader_nats_.tls.ca_file = folder_ / "root.pem";
    ASSERT_TRUE(nats_.start());
    start("security: {mode: tls, tls: {ca_file: " + (folder_ / "root.pem") + "}}\n");
    { Load load(*this, 3, 15'000); }
    EXPECT_TRUE(eventually([&] {
      return at(ledger()["publishers"][0], {"records", "spooled"}) > 0;
    }));
    EXPECT_EQ(at(ledger()["publishers"][0], {"records", "acknowledged"}), 0u);
    nats_.kill();
    serve(authority_, {});
    ASSERT_TRUE(nats_.start());
  }
  test::Authority authority_;
};

TEST_F(CertificateFaults, WrongCertificate) {
  serve(test::Authority("another CA"), {});
  begin();
  row_.note = "until the server had the right one";
  finish("certificate of another CA");
}

TEST_F(CertificateFaults, ExpiredCertificate) {
  test::CertificateWish wish;
  wish.from_s = -7200;
  wish.until_s = -3600;
  serve(authority_, wish);
  begin();
  row_.note = "until the server had a new one";
  finish("expired certificate");
}

TEST_F(Faults, CollectorKilled) {
  ASSERT_TRUE(nats_.start());
  start();
  { Load load(*this, 1, 15'000); }
  settle();
  const uint64_t sent_first = row_.sent;
  nats_.kill();
  {
    Load load(*this, 6, 15'000);
    std::this_thread::sleep_for(3s);
    load.allow_refusals();
    weir_->signal(SIGKILL);
    weir_->wait();
  }
  // What came after the kill nobody received: only what had come by then can be counted.
  const uint64_t sent_by_then = row_.sent;
  start();
  const json before = ledger()["publishers"][0]["spool"];
  ASSERT_TRUE(before["killed_before"].is_object()) << before;
  const uint64_t in_memory = at(before, {"killed_before", "records"});
  const uint64_t on_disk = at(before, {"records", "restored"});
  EXPECT_GT(on_disk, 0u);
  EXPECT_NE(weir_->err().find("the last run was killed: up to"), std::string::npos) << weir_->err();
  ASSERT_TRUE(nats_.start());
  sent_before_ = row_.sent;
  settle();
  EXPECT_EQ(weir_->terminate(), 0) << weir_->err();
  const Stored stored = read_stream();
  row_.fault = "collector killed with SIGKILL, started again";
  row_.acknowledged = stored.records;
  row_.spooled = on_disk;
  row_.duplicates = stored.duplicates;
  row_.lost = in_memory;
  row_.sent = stored.records + in_memory;
  row_.note = "*sent* is what had been received by then; the next start says " +
              std::to_string(at(before, {"killed_before", "batches"})) + " batches with " +
              std::to_string(in_memory) + " records";
  EXPECT_EQ(stored.duplicates, 0u);
  EXPECT_LE(stored.records + in_memory, sent_by_then);
  EXPECT_GE(stored.records, on_disk);
  // The second exporter's datagrams, beyond those whose numbers the first had too: what is missing before
  // the last that is stored was in memory.
  ASSERT_FALSE(stored.by_datagram.empty());
  uint64_t missing = 0;
  for (uint64_t number = sent_first; number < stored.by_datagram.rbegin()->first; number += 30) {
    const auto found = stored.by_datagram.find(static_cast<uint32_t>(number));
    missing += 30 - (found == stored.by_datagram.end() ? 0 : found->second);
  }
  EXPECT_GT(stored.by_datagram.rbegin()->first, sent_first);
  EXPECT_LE(missing, in_memory);
  rows().push_back(row_);
}

TEST_F(Faults, CollectorKilledInSilenceLosesNothing) {
  start();
  { Load load(*this, 2, 15'000); }
  // A third of it would fit memory, which does not survive what comes.
  EXPECT_TRUE(eventually([&] {
    const json l = ledger();
    return l.is_object() && at(l, {"records", "encoded"}) == row_.sent &&
           at(l["publishers"][0], {"spool", "records", "stored"}) == row_.sent &&
           at(l["publishers"][0], {"records", "in_flight"}) == 0;
  }, 30s)) << ledger();
  weir_->signal(SIGKILL);
  weir_->wait();
  start();
  const json spool = ledger()["publishers"][0]["spool"];
  EXPECT_TRUE(spool["killed_before"].is_null()) << spool;
  ASSERT_TRUE(nats_.start());
  sent_before_ = row_.sent;
  settle();
  EXPECT_EQ(weir_->terminate(), 0) << weir_->err();
  const Stored stored = read_stream();
  row_.fault = "collector killed with SIGKILL after some seconds without exports, nats-server away";
  row_.acknowledged = stored.records;
  row_.spooled = row_.sent;
  row_.duplicates = stored.duplicates;
  row_.lost = row_.sent - stored.records;
  EXPECT_EQ(stored.duplicates, 0u);
  EXPECT_EQ(row_.lost, 0u);
  rows().push_back(row_);
}

/// One whose row cannot be measured here is in the table all the same, and says why.
TEST(FaultsTable, HasARowForWhatIsNotMeasured) {
  const Row row{.fault = "a fault", .note = "needs root", .was_measured = false};
  EXPECT_EQ(line_of(row), "| a fault | – | – | – | – | – | not measured here: needs root |\n");
}

TEST_F(Faults, AStopIsQuickWhenAllIsOnDisk) {
  start();
  { Load load(*this, 1, 15'000); }
  EXPECT_TRUE(eventually([&] {
    const json l = ledger();
    return l.is_object() && at(l["publishers"][0], {"spool", "records", "stored"}) == row_.sent &&
           at(l["publishers"][0], {"records", "in_flight"}) == 0;
  }, 30s)) << ledger();
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_EQ(weir_->terminate(), 0) << weir_->err();
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 4s) << "of a deadline of ten";
}

}  // namespace
}  // namespace weir
