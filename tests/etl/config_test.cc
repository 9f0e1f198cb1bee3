// What a configuration of weir-etl may say, and what is said where it may not.
#include "etl/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "service/config_document.h"

namespace weir::etl {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Result<LoadedConfig> read(const std::string& text, std::vector<const char*> environment = {}) {
  return read_config(text, "etl.yaml", environment);
}
std::string trouble_of(const std::string& text) {
  const auto loaded = read(text);
  return loaded ? "" : loaded.error().message;
}

TEST(EtlConfig, NeedsNothing) {
  const auto loaded = read("");
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_THAT(loaded->warnings, IsEmpty());
  EXPECT_EQ(loaded->config.source.subjects.size(), 1u);
  EXPECT_EQ(loaded->config.source.subjects[0].subject, "flows.raw.*");
  EXPECT_EQ(feed::consumer_config(loaded->config, kProgram).subjects, std::vector<std::string>{"flows.raw.*"});
}

TEST(EtlConfig, IsReadWithPlacesOfItsMistakes) {
  EXPECT_THAT(trouble_of("source:\n  consumr: x\n"), HasSubstr("etl.yaml:2:3: source.consumr"));
  EXPECT_THAT(trouble_of("source: {messages_in_hand: 0}"), HasSubstr("an integer from 1"));
  EXPECT_THAT(trouble_of("events: {framing: avro}"), HasSubstr("json, single"));
  EXPECT_THAT(trouble_of("nats_url: http://x"), HasSubstr("nats://"));
}

TEST(EtlConfig, KnowsHowFarClocksAreFromUtc) {
  EXPECT_EQ(read("")->config.ocsf.timezone_offset, 0);
  EXPECT_EQ(read("ocsf: {timezone_offset: -330}")->config.ocsf.timezone_offset, -330);
  EXPECT_EQ(read("ocsf: {timezone_offset: 1080}")->config.ocsf.timezone_offset, 1080);
  for (const char* const wrong : {"1081", "-1081", "+60", "60m", "--1", "-", "1.5", "18446744073709551615"}) {
    EXPECT_THAT(trouble_of(std::string("ocsf: {timezone_offset: '") + wrong + "'}"), HasSubstr("minutes from -1080 to 1080")) << wrong;
  }
}

TEST(EtlConfig, RefusesWhatCannotWorkTogether) {
  EXPECT_THAT(trouble_of("source: {subjects: [{subject: flows.raw.*}, {subject: flows.raw.netflow}]}"), HasSubstr("twice"));
  EXPECT_THAT(trouble_of("source: {subjects: [{subject: a.b}, {subject: a-b}]}"), HasSubstr("consumers of one name"));
  EXPECT_THAT(trouble_of("source: {subjects: []}"), HasSubstr("0 subjects"));
  EXPECT_THAT(trouble_of("source: {subjects: [{subject: flows.>}]}"), HasSubstr("consumed again"));
  EXPECT_THAT(trouble_of("source: {messages_in_hand: 10, max_ack_pending: 5}"), HasSubstr("exceeds source.max_ack_pending (5)"));
  EXPECT_THAT(trouble_of("events: {stream: {name: events}}"), HasSubstr("is the stream that is consumed"));
  EXPECT_THAT(trouble_of("dead: {stream: {name: events_ocsf}}"), HasSubstr("is the stream of events"));
  EXPECT_THAT(trouble_of("events: {subject: flows.dead.x}"), HasSubstr("lies under it"));
  EXPECT_THAT(trouble_of("decisions: {subject: flows.dead.x}"), HasSubstr("decisions.subject (flows.dead.x) lies under it"));
  EXPECT_THAT(trouble_of("decisions: {subject: flows.ocsf.network_activity}"), HasSubstr("decisions.subject: is the subject of events"));
  EXPECT_THAT(trouble_of("decisions: {stream: {name: events_ocsf}}"), HasSubstr("decisions.stream.name: is the stream of events"));
  EXPECT_THAT(trouble_of("decisions: {stream: {name: flows_dead}}"), HasSubstr("dead.stream.name"));
  EXPECT_THAT(trouble_of("decisions: {stream: {name: events}}"), HasSubstr("is the stream that is consumed"));
  EXPECT_THAT(trouble_of("decisions: {subject: flows.raw.x}"), HasSubstr("would be consumed again"));
  EXPECT_EQ(trouble_of("decisions: {subject: flows.raw.netflow.processed}"), "");
  EXPECT_THAT(trouble_of("security: {mode: mtls}"), HasSubstr("security.tls.cert_file: is missing"));
  EXPECT_THAT(trouble_of("nats_url: tls://x\nsecurity: {mode: none}"), HasSubstr("contradicts tls://"));
  EXPECT_THAT(trouble_of("nats_user: a\nnats_token: b"), HasSubstr("only one of them"));
}

TEST(EtlConfig, WarnsOfAWindowThatIsTooShort) {
  const auto loaded = read("source: {ack_wait_secs: 120}");
  ASSERT_TRUE(loaded);
  EXPECT_THAT(loaded->warnings, ElementsAre(HasSubstr("events.stream.duplicate_window_secs"),
                                            HasSubstr("dead.stream.duplicate_window_secs"),
                                            HasSubstr("decisions.stream.duplicate_window_secs")));
}

TEST(EtlConfig, TakesTheEnvironmentFirst) {
  const auto loaded = read("nats_url: nats://file:1", {"NATS_URL=tls://environment:2", "WEIR_NATS_TOKEN=secret"});
  ASSERT_TRUE(loaded) << loaded.error().message;
  const auto nats = feed::nats_config(loaded->config, kProgram);
  EXPECT_THAT(nats.urls, ElementsAre("tls://environment:2"));
  EXPECT_EQ(nats.token, "secret");
  EXPECT_EQ(nats.tls.mode, outbound::TlsMode::tls);
  const std::string text = describe(*loaded);
  EXPECT_THAT(text, HasSubstr("environment NATS_URL"));
  EXPECT_THAT(text, ::testing::Not(HasSubstr("secret")));
}

TEST(EtlConfig, ThatIsShippedIsGoodAndSaysTheDefaults) {
  const char* const root = std::getenv("WEIR_SOURCE_ROOT");
  const auto loaded = load_config(std::string(root != nullptr ? root : ".") + "/conf/weir-etl.yaml", {});
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_THAT(loaded->warnings, IsEmpty());
}

}  // namespace
}  // namespace weir::etl
