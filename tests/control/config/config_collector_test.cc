// The file of the collector that is replaced, byte for byte: what it means here.
#include "control/config/config_collector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/config/config_security.h"
#include "support/collector_file.h"

namespace weir::control {
namespace {

using test::kCollectorFile;
using test::with;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Result<LoadedConfig> read(const std::string& text, std::vector<const char*> environment = {}) {
  return read_config(text, "c.json", environment);
}

TEST(CollectorFile, IsTakenAsItIs) {
  const auto loaded = read(kCollectorFile);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_THAT(loaded->warnings, ElementsAre(HasSubstr("one FlowMessage a message")));
  const ApplianceConfig& c = loaded->config;
  EXPECT_EQ(c.nats_url, "nats://nats:4222");
  EXPECT_EQ(c.nats_creds_file, "/etc/weir/creds/platform.creds");
  EXPECT_EQ(c.stream_name, "events");
  EXPECT_THAT(c.stream_subjects, ElementsAre("flows.raw.netflow", "flows.raw.sflow"));
  EXPECT_EQ(c.stream_max_bytes, 10737418240u);
  EXPECT_EQ(c.stream_replicas, 1u);
  EXPECT_EQ(c.partition, "default");
  EXPECT_EQ(c.channel_size, 10'000u);
  EXPECT_EQ(c.batch_size, 100u);
  EXPECT_EQ(c.publish_timeout_ms, 5000u);
  EXPECT_EQ(c.metrics_addr, "0.0.0.0:50046");
  EXPECT_EQ(c.framing, outbound::Framing::single);
  EXPECT_EQ(c.drop_policy, DropPolicy::drop_newest);
  ASSERT_EQ(c.listeners.size(), 2u);
  EXPECT_EQ(c.listeners[0].subject, "flows.raw.netflow");
  EXPECT_EQ(c.listeners[0].buffer_size, 65'536u);
  EXPECT_EQ(c.listeners[0].max_templates, 2000u);
  EXPECT_EQ(c.listeners[0].max_template_fields, 10'000u);
  EXPECT_EQ(c.listeners[0].pending_flows.max_pending_flows, 256u);
  EXPECT_EQ(c.listeners[0].pending_flows.max_entries_per_template, 1024u);
  EXPECT_EQ(c.listeners[0].pending_flows.max_entry_size_bytes, 65'535u);
  EXPECT_EQ(c.listeners[0].pending_flows.ttl_secs, 300u);
  EXPECT_EQ(c.listeners[1].subject, "flows.raw.sflow");
  const outbound::NatsConfig nats = nats_config(c);
  EXPECT_EQ(nats.tls.mode, outbound::TlsMode::mtls);
  EXPECT_EQ(nats.tls.cert_file, "/etc/weir/certs/flow-collector.pem");
  EXPECT_EQ(nats.tls.key_file, "/etc/weir/certs/flow-collector-key.pem");
  EXPECT_EQ(nats.tls.ca_file, "/etc/weir/certs/root.pem");

  const auto plane = data_plane_config(c);
  EXPECT_THAT(plane.dpdk_ports, IsEmpty());
  ASSERT_EQ(plane.socket_ports.size(), 2u);
  EXPECT_EQ(plane.socket_ports[0].port, 2055);
  EXPECT_EQ(plane.socket_ports[1].port, 6343);
}

TEST(CollectorFile, WithLessInItHasTheCollectorsDefaults) {
  const auto loaded = read(R"({"nats_url": "nats://nats:4222", "security": null, "nats_creds_file": null,
    "listeners": [{"protocol": "netflow", "listen_addr": "0.0.0.0:2055", "subject": "flows.raw.netflow",
                   "pending_flows": null},
                  {"protocol": "sflow", "listen_addr": "0.0.0.0:6343", "subject": "flows.raw.sflow", "buffer_size": 1048576}]})");
  ASSERT_TRUE(loaded) << loaded.error().message;
  const ApplianceConfig& c = loaded->config;
  EXPECT_EQ(c.framing, outbound::Framing::single);
  EXPECT_EQ(c.stream_name, "events");
  EXPECT_EQ(c.stream_max_bytes, 10ull << 30);
  EXPECT_EQ(c.stream_replicas, 1u);
  EXPECT_EQ(c.partition, "default");
  EXPECT_EQ(c.channel_size, 10'000u);
  EXPECT_EQ(c.batch_size, 100u);
  EXPECT_EQ(c.publish_timeout_ms, 5000u);
  EXPECT_EQ(c.listeners[0].buffer_size, 65'536u);
  EXPECT_EQ(c.listeners[1].buffer_size, 1u << 20);
  EXPECT_EQ(c.security.mode, SecurityMode::none);
}

TEST(CollectorFile, GivesWayToTheEnvironment) {
  const auto loaded =
      read(kCollectorFile, {"WEIR_FRAMING=batch", "WEIR_BATCH_SIZE=7", "NATS_URL=nats://h:1"});
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->config.framing, outbound::Framing::batch);
  EXPECT_EQ(loaded->config.batch_size, 7u);
  EXPECT_EQ(loaded->config.nats_url, "nats://h:1");
}

TEST(CollectorFile, IsNotWhatHasKeysOfOurs) {
  for (const std::string& text :
       {with(kCollectorFile, "\"batch_size\": 100,", "\"batch_size\": 100, \"framing\": \"batch\","),
        with(kCollectorFile, "\"partition\": \"default\",", "\"batch_bytes\": 65536,"),
        std::string("nats_url: nats://a\nlisteners: [{protocol: netflow, listen_addr: '[::]:2055'}]\n")}) {
    const auto loaded = read(text);
    ASSERT_TRUE(loaded) << loaded.error().message;
    EXPECT_EQ(loaded->config.framing, outbound::Framing::batch) << text;
    EXPECT_THAT(loaded->warnings, IsEmpty());
  }
}

TEST(CollectorFile, IsRefusedWhereTheCollectorRefusedIt) {
  const struct {
    std::string text;
    const char* error;
  } cases[] = {
      {with(kCollectorFile, "\"stream_replicas\": 1", "\"stream_replicas\": 0"), "stream_replicas: \"0\""},
      {with(kCollectorFile, "\"mtls\"", "\"spiffe\""), "security.mode: \"spiffe\" is not supported yet"},
      {with(kCollectorFile, "\"flow-collector-key.pem\"", "\"\""), "security.tls.key_file: is missing"},
      {with(kCollectorFile, "\"partition\"", "\"partitoin\""), "did you mean partition?"},
  };
  for (const auto& c : cases) {
    const auto loaded = read(c.text);
    ASSERT_FALSE(loaded) << c.text;
    EXPECT_THAT(loaded.error().message, HasSubstr(c.error));
  }
}

TEST(CollectorFile, NamesKeysThatMeanNothingForTheirListener) {
  const auto loaded =
      read(with(with(kCollectorFile, "\"max_templates\": 2000,",
                     "\"max_templates\": 2000, \"max_samples_per_datagram\": 100,"),
                "\"subject\": \"flows.raw.sflow\",",
                "\"subject\": \"flows.raw.sflow\", \"max_templates\": 5, \"pending_flows\": {\"ttl_secs\": 9},"));
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_THAT(loaded->warnings,
              ElementsAre(HasSubstr("framing"),
                          HasSubstr("listeners[0].max_samples_per_datagram: means nothing here"),
                          HasSubstr("listeners[1].max_templates: means nothing here"),
                          HasSubstr("listeners[1].pending_flows: means nothing here")));
}

}  // namespace
}  // namespace weir::control
