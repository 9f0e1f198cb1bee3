#include "classify/stage.h"

#include <gmock/gmock.h>

#include <set>

#include "lab/message_builder.h"
#include "tls_hello.h"

namespace weir::classify {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::Classifier;
using testing::ClientHello;
using testing::octets;
using testing::Seen;
using testing::tcp_frame;
using testing::udp_frame;

TEST(Stage, LabelsWhatItsPatternsFindInSampledPackets) {
  WEIR_NEEDS_ENGINE();
  Classifier c(R"(version: 1
rules:
  - {id: low, in: payload, pattern: '^SSH-', then: {labels: [second], application: never}, priority: 1}
  - {id: ssh, in: payload, protocol: tcp, pattern: '^SSH-2', then: {labels: [remote, shell], application: ssh}, priority: 9}
  - {id: udp, in: payload, protocol: udp, pattern: '^SSH', then: {labels: [strange]}}
)");
  const Seen seen = c.sample(tcp_frame(22, octets("SSH-2.0-OpenSSH_9.2\r\n")));
  EXPECT_THAT(seen.labels, ElementsAre("remote", "shell", "second"));
  EXPECT_THAT(seen.rule_ids, ElementsAre("ssh", "low"));
  EXPECT_EQ(seen.application, "ssh");
  EXPECT_EQ(seen.verdict, Verdict{});
  EXPECT_THAT(c.sample(udp_frame(22, octets("SSH-2.0"))).labels, ElementsAre("second", "strange"));
  EXPECT_THAT(c.sample(tcp_frame(22, octets("GET /"))).labels, IsEmpty());
  EXPECT_THAT(c.sample(tcp_frame(22, {})).labels, IsEmpty());
  EXPECT_EQ(c.stage->counters(0).hits.value(), 1u);
  EXPECT_EQ(c.stage->counters().scans.value(), 0u) << "what can be compared is not scanned";
}

TEST(Stage, AsksPortsExportersAndConditionsToo) {
  WEIR_NEEDS_ENGINE();
  Classifier c(R"(version: 1
sets: {inside: [192.0.2.0/24]}
rules:
  - {id: port, in: payload, ports: [22, 8000-8001], pattern: 'A', then: {labels: [port]}}
  - {id: agent, in: payload, exporters: [192.0.2.9], pattern: 'A', then: {labels: [agent]}}
  - {id: other, in: payload, exporters: [203.0.113.0/24], pattern: 'A', then: {labels: [never]}}
  - {id: when, in: payload, when: src_addr in @inside and dst_port == 8001, pattern: 'A', then: {labels: [when]}}
  - {id: text, when: "sampler_address == '192.0.2.9' and dst_port > 9000", then: {labels: [plain]}}
)");
  EXPECT_THAT(c.sample(tcp_frame(8001, octets("A"))).labels, ElementsAre("port", "agent", "when"));
  EXPECT_THAT(c.sample(tcp_frame(23, octets("A"))).labels, ElementsAre("agent"));
  EXPECT_THAT(c.sample(tcp_frame(8001, octets("A"), "10.0.0.1")).labels, ElementsAre("port", "agent"));
  EXPECT_THAT(c.sample(tcp_frame(9001, octets("B"))).labels, ElementsAre("plain"));
}

TEST(Stage, NeedsNoEngineForConditions) {
  Classifier c("version: 1\nrules:\n  - {id: web, when: 'dst_port in [80, 443]', then: {labels: [web], application: web}}\n"
               "  - {id: tcp80, protocol: tcp, ports: [80], then: {labels: [port]}}\n");
  const Seen seen = c.sample(tcp_frame(80, {}));
  EXPECT_THAT(seen.labels, ElementsAre("web", "port"));
  EXPECT_EQ(seen.application, "web");
  EXPECT_THAT(c.sample(udp_frame(80, {})).labels, ElementsAre("web"));
  EXPECT_THAT(c.sample(tcp_frame(22, {})).labels, IsEmpty());
}

TEST(Stage, DropsRoutesAndGoesByPriority) {
  Classifier c(R"(version: 1
rules:
  - {id: first, priority: 5, when: dst_port == 80, then: {route: flows.raw.web, labels: [a]}}
  - {id: again, when: 'dst_port in [80, 81]', then: {route: flows.raw.other}}
  - {id: drop, priority: 1, when: dst_port == 81, then: {drop: true}}
)");
  EXPECT_EQ(c.sample(tcp_frame(80, {})).verdict, (Verdict{Fate::kept, 1}));
  EXPECT_EQ(c.sample(tcp_frame(81, {})).verdict, (Verdict{Fate::dropped, 0}));
  EXPECT_EQ(c.sample(tcp_frame(82, {})).verdict, Verdict{});
  // What was dropped before is no hit of a rule behind.
  EXPECT_EQ(c.stage->counters(2).hits.value(), 1u);
  EXPECT_EQ(c.stage->counters(1).drops.value(), 1u);
}

TEST(Stage, SamplesFlowsWholeAndMultipliesTheRate) {
  Classifier c("version: 1\nrules: [{id: one-in-ten, then: {sample: 10}}]");
  size_t kept = 0;
  for (uint16_t port = 1; port <= 2000; ++port) {
    const Seen first = c.sample(udp_frame(53, {}, port));
    const Seen again = c.sample(udp_frame(53, {}, port));
    EXPECT_EQ(first.verdict, again.verdict);
    // The other direction is the same flow.
    const Seen back = c.sample(lab::udp_frame({.src = "198.51.100.2", .dst = "192.0.2.1", .src_port = 53, .dst_port = port}, {}));
    EXPECT_EQ(first.verdict, back.verdict);
    kept += first.verdict.fate == Fate::kept;
    EXPECT_EQ(first.sampling_rate, first.verdict.fate == Fate::kept ? 1000u : 100u);
  }
  EXPECT_NEAR(static_cast<double>(kept), 200, 50);
  EXPECT_EQ(c.stage->counters(0).hits.value(), 6000u);
  EXPECT_EQ(c.stage->counters(0).drops.value() + 3 * kept, 6000u);
}

TEST(Stage, TakesNamesOutAndLetsOtherRulesAskForThem) {
  WEIR_NEEDS_ENGINE();
  Classifier c(R"(version: 1
rules:
  - {id: tls, in: payload, protocol: tcp, pattern: '^\x16\x03', extract: tls, then: {application: tls}}
  - {id: http, in: payload, protocol: tcp, pattern: '^[A-Z]+ ', extract: http, then: {application: http}}
  - {id: ours, in: server_name, pattern: '(^|\.)example\.com$', then: {labels: [ours]}}
  - {id: exact, when: "server_name == 'www.example.com'", then: {labels: [exact]}}
)");
  const Seen tls = c.sample(tcp_frame(443, ClientHello{.server_name = "www.example.com"}.build()));
  EXPECT_EQ(tls.server_name, "www.example.com");
  EXPECT_THAT(tls.labels, ElementsAre("ours", "exact"));
  const Seen http = c.sample(tcp_frame(80, octets("HEAD / HTTP/1.1\r\nHost: example.com\r\n\r\n")));
  EXPECT_EQ(http.server_name, "example.com");
  EXPECT_THAT(http.labels, ElementsAre("ours", "http-head"));
  const Seen cut = c.sample(tcp_frame(443, ClientHello{.server_name = "www.example.com"}.build()), 120);
  EXPECT_EQ(cut.server_name, "");
  EXPECT_EQ(cut.application, "tls");
}

TEST(Stage, LooksInsideOfTunnels) {
  WEIR_NEEDS_ENGINE();
  Classifier c("version: 1\nrules: [{id: ssh, in: payload, protocol: tcp, ports: [22], pattern: '^SSH', then: {labels: [ssh]}}]");
  lab::Octets vxlan{0x08, 0, 0, 0, 0, 0, 1, 0};
  const lab::Octets inner = tcp_frame(22, octets("SSH-2.0"));
  vxlan.insert(vxlan.end(), inner.begin(), inner.end());
  EXPECT_THAT(c.sample(udp_frame(4789, vxlan)).labels, ElementsAre("ssh"));
}

// Every cut of a packet: nothing beyond what was sampled is looked at, and nothing but what is there is told.
TEST(Stage, TakesEveryTruncation) {
  WEIR_NEEDS_ENGINE();
  Classifier c(R"(version: 1
rules: [{id: tls, in: payload, pattern: '^\x16\x03.\x00.\x01', extract: tls, then: {labels: [tls]}}])");
  const lab::Octets frame = tcp_frame(443, ClientHello{.server_name = "www.example.com"}.build());
  for (size_t size = 0; size <= frame.size(); ++size) {
    const Seen seen = c.sample(frame, size);
    EXPECT_EQ(seen.labels.size(), size >= 60 ? 1u : 0u) << size;
    EXPECT_TRUE(seen.server_name.empty() || seen.server_name == "www.example.com");
  }
}

TEST(Stage, GivesEachRecordOfABurstItsOwn) {
  WEIR_NEEDS_ENGINE();
  Classifier c(R"(version: 1
rules:
  - {id: a, in: payload, pattern: '^A', then: {labels: [a]}}
  - {id: b, in: payload, pattern: '^B', then: {labels: [b, bb], application: b}}
)");
  lab::SflowBuilder datagram;
  for (size_t i = 0; i < 100; ++i) {
    datagram.flow({.records = {lab::sflow::raw_header(tcp_frame(80, octets(i % 3 == 0 ? "A" : i % 3 == 1 ? "B" : "C")))}});
  }
  ASSERT_TRUE(c.take(datagram.build()));
  ASSERT_EQ(c.seen.size(), 100u);
  for (size_t i = 0; i < c.seen.size(); ++i) {
    const std::vector<std::string> wanted[] = {{"a"}, {"b", "bb"}, {}};
    EXPECT_EQ(c.seen[i].labels, wanted[i % 3]);
    EXPECT_EQ(c.seen[i].application, i % 3 == 1 ? "b" : "");
  }
}

TEST(Stage, CountsWhatDoesNotFit) {
  std::string rules = "version: 1\nrules:\n";
  for (int i = 0; i < 100; ++i) {
    rules += "  - {id: r" + std::to_string(i) + ", when: dst_port > 0, then: {labels: [" + std::string(250, 'x') + std::to_string(i) + "]}}\n";
  }
  Classifier c(rules);
  const Seen seen = c.sample(tcp_frame(80, {}));
  EXPECT_EQ(seen.labels.size(), kLabelsMax);
  EXPECT_EQ(seen.rule_ids.size(), kLabelsMax);
  EXPECT_EQ(c.stage->counters().matches_left_out.value(), 100 - kMatchesMax);
  EXPECT_EQ(c.stage->counters().labels_left_out.value(), 2 * (kMatchesMax - kLabelsMax));
}

// Records whose labels differ fill the room behind the arena; the rest is counted and goes without.
TEST(Stage, StaysWithinTheRoomOfABurst) {
  std::string rules = "version: 1\nrules:\n";
  for (int i = 0; i < 32; ++i) {
    rules += "  - {id: r" + std::to_string(i) + ", when: dst_port == " + std::to_string(i) + ", then: {labels: [";
    for (int k = 0; k < 8; ++k) rules += std::string(k == 0 ? "" : ", ") + std::string(250, static_cast<char>('a' + k));
    rules += "]}}\n";
  }
  Classifier c(rules);
  lab::SflowBuilder datagram;
  for (uint16_t i = 0; i < 32; ++i) datagram.flow({.records = {lab::sflow::raw_header(tcp_frame(i, {}))}});
  ASSERT_TRUE(c.take(datagram.build()));
  size_t labelled = 0;
  for (const Seen& seen : c.seen) labelled += seen.labels.size() == 8;
  EXPECT_GT(labelled, 5u);
  EXPECT_LT(labelled, 32u);
  EXPECT_GT(c.stage->counters().labels_left_out.value(), 0u);
}

// Patterns as a sender would choose them: as many as it likes match before the one that is to drop.
TEST(Stage, FindsTheFirstRuleHoweverManyOthersMatch) {
  WEIR_NEEDS_ENGINE();
  std::string rules = "version: 1\nrules:\n";
  std::string payload;
  for (int i = 0; i < 200; ++i) {
    const std::string word = "word" + std::to_string(1000 + i);
    rules += "  - {id: w" + std::to_string(i) + ", in: payload, pattern: '" + word + "', then: {labels: [w]}}\n";
    payload += word + " ";
  }
  rules += "  - {id: block, priority: 1000, in: payload, pattern: 'secret-marker', then: {drop: true}}\n";
  Classifier c(rules);
  const lab::Octets frame = tcp_frame(80, octets(payload + "secret-marker"));
  EXPECT_EQ(c.sample(frame, 4000).verdict.fate, Fate::dropped);
  EXPECT_EQ(c.stage->counters(0).hits.value(), 1u);
  EXPECT_EQ(c.stage->counters().matches_left_out.value(), 201 - kMatchesMax);
  EXPECT_EQ(c.sample(tcp_frame(80, octets(payload)), 4000).verdict.fate, Fate::kept);
}

// What patterns of other sites' rules find takes no room from those of this one; nor does what a text holds.
TEST(Stage, AsksWhatElseARuleSaysBeforeItsMatchTakesRoom) {
  WEIR_NEEDS_ENGINE();
  std::string rules = "version: 1\nrules:\n";
  for (int i = 0; i < 150; ++i) {
    rules += "  - {id: s" + std::to_string(i) + ", in: payload, pattern: 'abc', exporters: [198.51.100." + std::to_string(i) + "], then: {labels: [other]}}\n";
  }
  rules += "  - {id: here, in: payload, pattern: 'abc', exporters: [192.0.2.0/24], then: {labels: [here]}}\n";
  rules += "  - {id: all, priority: 1000, then: {labels: [all]}}\n";
  Classifier c(rules);
  const Seen seen = c.sample(tcp_frame(80, octets("..abc")));
  EXPECT_THAT(seen.rule_ids, ElementsAre("all", "here"));
  EXPECT_EQ(c.stage->counters().matches_left_out.value(), 0u);
}

// A packet in a tunnel is of its own ports and protocol, with octets behind the header or none.
TEST(Stage, AsksTheInnermostHeaderOfBareAcknowledgementsToo) {
  Classifier c(R"(version: 1
rules:
  - {id: inner, protocol: tcp, ports: [443], then: {labels: [inner]}}
  - {id: outer, protocol: udp, ports: [4789], then: {labels: [outer]}}
)");
  for (const char* payload : {"", "x"}) {
    lab::Octets vxlan{0x08, 0, 0, 0, 0, 0, 1, 0};
    const lab::Octets inner = tcp_frame(443, octets(payload));
    vxlan.insert(vxlan.end(), inner.begin(), inner.end());
    EXPECT_THAT(c.sample(udp_frame(4789, vxlan)).labels, ElementsAre("inner")) << '"' << payload << '"';
  }
  EXPECT_THAT(c.sample(udp_frame(4789, octets("no VXLAN"))).labels, ElementsAre("outer"));
}

TEST(Stage, SaysEachLabelOnce) {
  WEIR_NEEDS_ENGINE();
  Classifier c(R"(version: 1
rules:
  - {id: a, in: payload, pattern: '^GET ', extract: http, then: {labels: [web, clear, http-get]}}
  - {id: b, when: dst_port == 80, then: {labels: [clear, web, b]}}
  - {id: c, then: {labels: [we, b, c]}}
)");
  EXPECT_THAT(c.sample(tcp_frame(80, octets("GET / HTTP/1.1\r\n\r\n"))).labels, ElementsAre("web", "clear", "http-get", "b", "we", "c"));
}

TEST(Stage, CountsWhatEachRecordOfABurstGoesWithout) {
  std::string rules = "version: 1\nrules:\n";
  for (int i = 0; i < 10; ++i) rules += "  - {id: r" + std::to_string(i) + ", then: {labels: [l" + std::to_string(i) + "]}}\n";
  Classifier c(rules);
  lab::SflowBuilder datagram;
  for (uint16_t i = 0; i < 32; ++i) datagram.flow({.records = {lab::sflow::raw_header(tcp_frame(80, {}))}});
  ASSERT_TRUE(c.take(datagram.build()));
  EXPECT_EQ(c.stage->counters().labels_left_out.value(), 32u * 2 * 2);
}

// Text that is no UTF-8 is looked into as the record will have it.
TEST(Stage, LooksForUtf8InWhatTheRecordWillSay) {
  WEIR_NEEDS_ENGINE();
  Classifier c(R"(version: 1
rules:
  - {id: text, in: user_name, flags: iu, pattern: '^m.ller.$', then: {labels: [text]}}
  - {id: octets, in: user_name, pattern: 'LLER\xff', then: {labels: [octets]}}
)");
  const lab::Template layout{.fields = {{371, lab::kVariableLength}}};
  const lab::Record good{lab::variable(octets("M\u00fcllerx"))}, bad{lab::variable(octets("M\u00dcLLER\xff"))};
  ASSERT_TRUE(c.take(lab::IpfixBuilder{}.domain(1).templates({layout}).data(256, {good, bad}).build()));
  ASSERT_EQ(c.seen.size(), 2u);
  EXPECT_THAT(c.seen[0].labels, ElementsAre("text"));
  EXPECT_THAT(c.seen[1].labels, ElementsAre("text", "octets"));
}

// IPFIX: strings that exporters say, elements without a field, sections of packets.
TEST(Stage, LooksIntoWhatIpfixSays) {
  WEIR_NEEDS_ENGINE();
  testing::use_built_compiler();
  const ElementFinder find = [](std::string_view name) { return name == "12345/7" ? Result<ElementKey>(ElementKey{12345, 7}) : Result<ElementKey>(Error{}); };
  const auto set = RuleSet::parse({{"rules.yaml", R"(version: 1
rules:
  - {id: user, in: user_name, pattern: '^adm', flags: i, then: {labels: [admin]}}
  - {id: own, in: 12345/7, pattern: 'xyz', then: {labels: [own]}}
  - {id: ssh, in: payload, protocol: tcp, pattern: '^SSH', then: {labels: [ssh]}}
)"}}, {find, {}});
  ASSERT_TRUE(set) << set.error().message;
  EXPECT_FALSE((*set)->asks_every_record());
  EXPECT_TRUE((*set)->asks_elements());
  Classifier c(*set);
  const lab::Record record{lab::u16(80), lab::variable(octets("Admin")), octets("axyzb..."),
                           lab::variable(tcp_frame(22, octets("SSH-2.0")))};
  const lab::Template layout{.fields = {{7, 2}, {371, lab::kVariableLength}, {7, 8, 12345}, {315, lab::kVariableLength}}};
  // Data that waits for its template is looked into as any other.
  ASSERT_TRUE(c.take(lab::IpfixBuilder{}.domain(1).data(256, {record}).build()));
  EXPECT_TRUE(c.seen.empty());
  ASSERT_TRUE(c.take(lab::IpfixBuilder{}.domain(1).templates({layout}).data(256, {record, record}).build()));
  ASSERT_EQ(c.seen.size(), 3u);
  for (const Seen& seen : c.seen) EXPECT_THAT(seen.labels, ElementsAre("admin", "own", "ssh"));
}

}  // namespace
}  // namespace weir::classify
