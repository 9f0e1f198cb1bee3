// flow_stream.h — A nats-server with a stream of flows, messages as any producer may publish them, and what lies in streams.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "export/framing.h"
#include "export/jetstream_api.h"
#include "export/jetstream_stream.h"
#include "export/nats_client.h"
#include "flow.pb.h"
#include "support/nats_server.h"
#include "support/process.h"

namespace weir::test {

using Headers = std::vector<std::pair<std::string, std::string>>;
using nlohmann::json;

/// Flows that can be told apart: `first` and the next ones, by their bytes.
inline std::string flow_message(uint64_t number) {
  flowpb::FlowMessage flow;
  flow.set_type(flowpb::IPFIX);
  flow.set_time_received_ns(1'700'000'000'000'000'000);
  flow.set_src_addr(std::string("\xC0\x00\x02\x01", 4));
  flow.set_dst_addr(std::string("\xC6\x33\x64\x07", 4));
  flow.set_src_port(static_cast<uint32_t>(1024 + number % 50'000));
  flow.set_dst_port(number % 10 == 0 ? 53 : 443);
  flow.set_proto(6);
  flow.set_packets(1);
  flow.set_bytes(1000 + number);
  return flow.SerializeAsString();
}
inline std::string flow_batch(uint64_t first, uint32_t records) {
  std::string batch;
  for (uint32_t i = 0; i < records; ++i) {
    const std::string message = flow_message(first + i);
    flowpb::FlowBatch one;
    EXPECT_TRUE(one.add_flows()->ParseFromString(message));
    batch += one.SerializeAsString();
  }
  return batch;
}

/// What the collector publishes for these flows.
inline std::vector<std::string> collector_messages(outbound::Framing framing, outbound::Compression compression, std::string batch, uint32_t records) {
  outbound::OutboundBatch out;
  out.data = reinterpret_cast<uint8_t*>(batch.data());
  out.octets = static_cast<uint32_t>(batch.size());
  out.records = records;
  outbound::MessageFormer former(framing, compression);
  std::vector<outbound::MessageSlice> slices;
  EXPECT_TRUE(former.divide(out, {0, out.octets, out.records}, 1 << 20, slices));
  std::vector<std::string> messages;
  for (const auto& slice : slices) {
    const auto octets = former.form(out, slice);
    messages.emplace_back(octets.begin(), octets.end());
  }
  return messages;
}

struct StoredMessage {
  std::string subject;
  std::string body;
  Headers headers;
  std::string header(const std::string& name) const {
    for (const auto& [key, value] : headers) {
      if (key == name) return value;
    }
    return {};
  }
};

/// `consumer_name_`: of what is tested.
class FlowStreamFixture : public ::testing::Test {
 protected:
  void SetUp() override {
    if (NatsServer::binary().empty()) GTEST_SKIP() << "nats-server is not installed";
    ASSERT_TRUE(nats_.start());
    connect();
    make_stream("events", "flows.raw.*");
  }

  void connect() {
    outbound::NatsConfig config;
    config.urls = {nats_.url()};
    config.tls = tls_;
    config.reconnect_wait_ms = 50;
    config.reconnect_jitter_ms = 20;
    auto client = outbound::NatsClient::make(config);
    ASSERT_TRUE(client);
    client_ = std::move(*client);
    ASSERT_TRUE(client_->connect());
  }
  json api(const std::string& operation, const json& body = {}) {
    const auto reply = client_->request("$JS.API." + operation, body.is_null() ? "" : body.dump(), 5000);
    if (!reply || !*reply) return {};
    return json::parse(reply->body(), nullptr, false);
  }
  void make_stream(const std::string& name, const std::string& subject, json more = json::object()) {
    json config = {{"name", name}, {"subjects", {subject}}, {"storage", "file"}, {"retention", "limits"},
                   {"max_bytes", 256 << 20}, {"num_replicas", 1}, {"discard", "old"}};
    config.update(more);
    const json answer = api("STREAM.CREATE." + name, config);
    ASSERT_TRUE(answer.contains("config")) << answer.dump();
  }

  /// Publishes and waits for the acknowledgement.
  void publish(const std::string& subject, const std::string& body, const Headers& headers = {}) {
    std::vector<outbound::MessageHeader> list;
    for (const auto& [name, value] : headers) list.push_back({name.c_str(), value.c_str()});
    const auto* octets = reinterpret_cast<const uint8_t*>(body.data());
    ASSERT_EQ(client_->publish(subject.c_str(), ++token_, {octets, body.size()}, list), outbound::Sent::sent);
    const auto reply = client_->next_reply(10'000);
    ASSERT_TRUE(reply);
    const auto ack = outbound::parse_publish_ack(reply.body());
    ASSERT_TRUE(ack.positive) << reply.body();
  }

  uint64_t messages_in(const std::string& stream) {
    const json info = api("STREAM.INFO." + stream);
    return info.contains("state") ? info["state"]["messages"].get<uint64_t>() : 0;
  }
  json consumer() { return api("CONSUMER.INFO.events." + consumer_name_); }
  /// Everything that was published is acknowledged to the consumer.
  bool is_all_done() {
    const json info = consumer();
    const json stream = api("STREAM.INFO.events");
    return info.contains("num_pending") && stream.contains("state") && info["num_pending"] == 0 && info["num_ack_pending"] == 0 &&
           info["delivered"]["stream_seq"].get<uint64_t>() >= stream["state"]["last_seq"].get<uint64_t>();
  }

  /// Every message of a stream, by its number.
  std::vector<StoredMessage> read_stream(const std::string& stream) {
    std::vector<StoredMessage> messages;
    const json info = api("STREAM.INFO." + stream);
    if (!info.contains("state")) return messages;
    const uint64_t first = info["state"]["first_seq"], last = info["state"]["last_seq"];
    for (uint64_t sequence = first; sequence <= last && sequence > 0; ++sequence) {
      const json got = api("STREAM.MSG.GET." + stream, {{"seq", sequence}});
      if (!got.contains("message")) continue;
      const json& m = got["message"];
      messages.push_back({m["subject"], from_base64(m.value("data", "")), parse_headers(from_base64(m.value("hdrs", "")))});
    }
    return messages;
  }
  static std::multiset<uint64_t> run_of(uint64_t first, uint64_t count) {
    std::multiset<uint64_t> numbers;
    for (uint64_t i = 0; i < count; ++i) numbers.insert(first + i);
    return numbers;
  }

  static std::string from_base64(const std::string& text) {
    std::string out;
    uint32_t bits = 0;
    int count = 0;
    for (const char c : text) {
      const char* const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
      const char* const found = c == '\0' ? nullptr : std::strchr(alphabet, c);
      if (found == nullptr) continue;
      bits = bits << 6 | static_cast<uint32_t>(found - alphabet);
      count += 6;
      if (count >= 8) {
        count -= 8;
        out += static_cast<char>(bits >> count & 0xff);
      }
    }
    return out;
  }
  static Headers parse_headers(const std::string& text) {
    Headers headers;
    size_t at = std::min(text.find("\r\n"), text.size());
    while (at + 2 < text.size()) {
      at += 2;
      const size_t end = std::min(text.find("\r\n", at), text.size());
      const std::string line = text.substr(at, end - at);
      if (const size_t colon = line.find(':'); colon != std::string::npos) {
        const size_t value = line.find_first_not_of(' ', colon + 1);
        headers.emplace_back(line.substr(0, colon), value == std::string::npos ? "" : line.substr(value));
      }
      at = end;
    }
    return headers;
  }

  std::string consumer_name_;
  TemporaryFolder folder_;
  NatsServer nats_;
  outbound::TlsConfig tls_;
  std::unique_ptr<outbound::NatsClient> client_;
  uint64_t token_ = 0;
};

}  // namespace weir::test
