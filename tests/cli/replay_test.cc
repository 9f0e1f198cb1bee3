// `weir replay` as its users run it: through a real data plane.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "flow.pb.h"
#include "support/program.h"

namespace weir {
namespace {

using nlohmann::json;
using test::built;
using test::Outcome;
using test::run_program;
using testing::HasSubstr;

class Replay : public testing::Test {
 protected:
  std::string capture(const std::string& protocol, const std::string& exporters = "4") {
    const std::string path = folder_ / protocol + ".pcap";
    const Outcome made = run_program({built("weir"), "generate", "--pcap", path, "--protocol", protocol, "--count", "400",
                                      "--exporters", exporters});
    EXPECT_EQ(made.status, 0) << made.err;
    return path;
  }
  Outcome replay(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {built("weir"), "replay"});
    return run_program(arguments);
  }
  json report(std::vector<std::string> arguments, int status = 0) {
    arguments.push_back("--json");
    const Outcome played = replay(std::move(arguments));
    EXPECT_EQ(played.status, status) << played.err << played.out;
    return json::parse(played.out, nullptr, false);
  }

  test::TemporaryFolder folder_;
};

TEST_F(Replay, DeliversEveryRecordOfEachRound) {
  for (const std::string protocol : {"v5", "v9", "ipfix"}) {
    const json r = report({capture(protocol), "--rounds", "20"});
    ASSERT_FALSE(r.is_discarded());
    EXPECT_TRUE(r["is_lossless"]);
    EXPECT_EQ(r["played"]["rounds"], 20);
    EXPECT_EQ(r["ledger"]["frames"], r["played"]["frames"]);
    EXPECT_EQ(r["ledger"]["datagrams_decoded"], r["played"]["frames"]);
    EXPECT_EQ(r["ledger"]["records"], r["played"]["records"]);
    EXPECT_EQ(r["publishers"][0]["acknowledged"], r["played"]["records"]);
    EXPECT_EQ(r["ledger"]["sequence_lost"], 0);
    EXPECT_EQ(r["ledger_mismatches"], 0);
    EXPECT_GT(r["publishers"][0]["delivery_ns"]["p99"], 0);
    EXPECT_GT(r["cores"][0]["ns_per_record"], 0);
    EXPECT_GT(r["memory_octets"], 1 << 20);
  }
}

TEST_F(Replay, SpreadsExportersOverQueues) {
  const json r = report({capture("v5"), "--rounds", "1", "--exporters", "25", "--queues", "2", "--rate", "50kpps",
                         "--descriptors", "16384"});  // more than a queue gets: no pause of a machine that is shared fills them
  EXPECT_EQ(r["played"]["exporters"], 100);
  ASSERT_EQ(r["cores"].size(), 2u);
  for (const json& core : r["cores"]) EXPECT_EQ(core["records"], r["played"]["records"].get<uint64_t>() / 2);
  EXPECT_EQ(r["ledger"]["sequence_lost"], 0);
}

TEST_F(Replay, LetsWorkersDecode) {
  const json r = report({capture("ipfix"), "--rounds", "1", "--exporters", "8", "--workers", "2", "--rate", "20kpps",
                         "--descriptors", "4096"});  // nor do they fill these, or a worker's lane
  EXPECT_TRUE(r["is_lossless"]);
  EXPECT_EQ(r["ledger"]["records"], r["played"]["records"]);
  EXPECT_EQ(r["ledger"]["sequence_lost"], 0);
  EXPECT_EQ(r["ledger_mismatches"], 0);
  uint64_t decoding = 0;
  for (const json& core : r["cores"]) decoding += core["records"] != 0;
  EXPECT_EQ(decoding, 2u);
}

TEST_F(Replay, CountsWhatItHarmed) {
  const json r = report({capture("v5", "1"), "--rounds", "20", "--lose", "5", "--seed", "9"});
  EXPECT_GT(r["faults"]["lost"], 200);
  EXPECT_EQ(r["played"]["frames"].get<uint64_t>() + r["faults"]["lost"].get<uint64_t>(), 8000u);
  EXPECT_TRUE(r["is_lossless"]) << "what was left out by intent is no loss of the appliance";
  // A gap at the end is not closed yet.
  const auto missed = r["ledger"]["sequence_lost"].get<double>();
  const auto lost = 30 * r["faults"]["lost"].get<double>();
  EXPECT_LE(missed, lost);
  EXPECT_GE(missed, lost * 0.9);
}

TEST_F(Replay, PublishesAsTheConfigurationSays) {
  const std::string out = folder_ / "flows";
  const json r = report({capture("v9"), "--publish", "file:" + out});
  flowpb::FlowBatch flows;
  ASSERT_TRUE(flows.ParseFromString(test::contents_of(out)));
  EXPECT_EQ(static_cast<uint64_t>(flows.flows_size()), r["played"]["records"].get<uint64_t>());

  const std::string config = folder_ / "weir.yaml";
  test::write_file(config,
                                           "ports: [{kind: socket, address: 127.0.0.1}]\n"
                                           "listeners: [{protocol: ipfix, port: 2055}, {protocol: sflow, listen_addr: '127.0.0.1:6343'}]\n"
                                           "publishers: [{kind: file, path: " + out + "2, format: json}]\n"
                                           "log: {level: warning}\n");
  const json refused = report({capture("v9"), "-c", config});
  EXPECT_EQ(refused["ledger"]["records"], 0);
  EXPECT_EQ(refused["ledger"]["datagrams_rejected"]["protocol_not_allowed"], refused["played"]["frames"]);
  const json taken = report({capture("ipfix"), "-c", config});
  EXPECT_EQ(taken["publishers"][0]["kind"], "file");
  EXPECT_EQ(taken["publishers"][0]["acknowledged"], taken["played"]["records"]);
}

TEST_F(Replay, CallsNothingLosslessThatIsNot) {
  const std::string config = folder_ / "weir.yaml";
  const std::string rest = "ports: [{kind: socket, address: 127.0.0.1}]\nlog: {level: error}\n";
  test::write_file(config, rest + "listeners: [{protocol: any, port: 9999}]\npublishers: [{kind: discard}]\n");
  const json unheard = report({capture("v5"), "-c", config}, 1);
  EXPECT_FALSE(unheard["is_lossless"]);
  EXPECT_EQ(unheard["ledger"]["no_listener"], unheard["played"]["frames"]);

  // Nobody listens there, and the installation's spool is not for this.
  test::write_file(config, rest + "listeners: [{protocol: any, port: 2055}]\nnats_url: nats://127.0.0.1:1\n"
                                  "drop_policy: spool\nstate_dir: " + (folder_ / "state") + "\nchannel_size: 1\nshutdown_deadline_ms: 100\n");
  test::Process process(folder_, {built("weir"), "replay", capture("v5"), "-c", config, "-q"});
  usleep(1'500'000);
  process.signal(SIGINT);
  EXPECT_EQ(process.wait(), 1) << process.err();
  EXPECT_FALSE(std::filesystem::exists("/spool"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "state/spool"));
}

TEST_F(Replay, DoesNotWaitLongForWhoWasNeverConnectedAndSaysSo) {
  const std::string config = folder_ / "weir.yaml";
  test::write_file(config, "ports: [{kind: socket, address: 127.0.0.1}]\nlog: {level: warning}\nlisteners: [{protocol: any, port: 2055}]\n"
                           "nats_url: nats://127.0.0.1:1\nshutdown_deadline_ms: 100\n");
  const auto before = std::chrono::steady_clock::now();
  const Outcome played = replay({capture("v5"), "-c", config});
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(45)) << "a minute is for who was there";
  EXPECT_EQ(played.status, 1) << played.err;
  EXPECT_THAT(played.err, HasSubstr("all is played; waiting up to 5 s for publisher"));
}

TEST_F(Replay, DrawsAndTells) {
  const std::string chart = folder_ / "rates.svg";
  const Outcome played = replay({capture("v5"), "--seconds", "0.8", "--rate", "2kpps", "--chart", chart});
  EXPECT_EQ(played.status, 0) << played.err;
  EXPECT_THAT(played.out, HasSubstr("lossless"));
  EXPECT_THAT(played.out, HasSubstr("p99.9"));
  EXPECT_EQ(played.err, "") << "no progress where no terminal is";
  EXPECT_THAT(test::contents_of(chart), HasSubstr("<polyline"));
}

TEST_F(Replay, MeasuresStages) {
  const json r = report({capture("v9"), "--stages"});
  EXPECT_GT(r["stages"]["parse_ns"], 0);
  EXPECT_GT(r["stages"]["decode_ns"], 0);
  EXPECT_GT(r["stages"]["all_ns"], r["stages"]["parse_ns"]);
  EXPECT_TRUE(report({capture("v9")})["stages"].is_null());
}

TEST_F(Replay, SaysWhatIsWrong) {
  const std::string path = capture("v5");
  struct {
    std::vector<std::string> arguments;
    int status;
    const char* says;
  } const wrong[] = {
      {{path, "--rate", "fast"}, 2, "--rate fast: must be max, 200kpps"},
      {{path, "--exporters", "100000"}, 2, "which is more than 131072"},
      {{path, "--publish", "kafka"}, 1, "must be discard, file:PATH or nats://HOST:PORT"},
      {{folder_ / "none"}, 1, "No such file"},
      {{path, "-c", folder_ / "none"}, 1, "none"},
      {{path, "--rounds", "0"}, 2, "--rounds"},
      {{path, "--lose", "nan"}, 2, "--lose"},
      {{path, "--seconds", "nan"}, 2, "--seconds"},
  };
  for (const auto& w : wrong) {
    const Outcome played = replay(w.arguments);
    EXPECT_EQ(played.status, w.status) << played.err;
    EXPECT_THAT(played.err, HasSubstr(w.says));
  }
}

}  // namespace
}  // namespace weir
