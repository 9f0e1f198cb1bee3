// The rules that Weir comes with: each on packets made to the protocols' specifications, and all of them on real traffic.
#include <gmock/gmock.h>

#include <map>
#include <set>

#include "lab/capture_file.h"
#include "support/captures.h"
#include "tls_hello.h"

namespace weir::classify {
namespace {

using ::testing::Contains;
using lab::join;
using lab::Octets;
using lab::u16;
using lab::u32;
using lab::u8;
using lab::zeros;
using testing::Classifier;
using testing::ClientHello;
using testing::octets;
using testing::Seen;

std::shared_ptr<const RuleSet> shipped() {
  static const std::shared_ptr<const RuleSet> kRules = [] {
    testing::use_built_compiler();
    const char* const root = std::getenv("WEIR_SOURCE_ROOT");
    auto set = RuleSet::read({std::string(root != nullptr ? root : ".") + "/conf/rules"}, {});
    EXPECT_TRUE(set) << (set ? "" : set.error().message);
    return set ? *set : std::make_shared<const RuleSet>();
  }();
  return kRules;
}

enum class By : uint8_t { tcp, udp };
struct Case {
  const char* rule;
  By by;
  uint16_t port;
  Octets payload;
  const char* application = "";
  const char* server_name = "";
};

Octets repeated(uint8_t octet, size_t n) { return Octets(n, octet); }
Octets hex(std::string_view digits) {
  Octets all;
  for (size_t i = 0; i + 1 < digits.size(); i += 2) {
    all.push_back(static_cast<uint8_t>(std::stoul(std::string(digits.substr(i, 2)), nullptr, 16)));
  }
  return all;
}

/// RFC 1035 §4.1: a header and one question.
Octets dns(uint16_t flags, std::string_view labels, uint16_t type = 1, uint16_t answers = 0) {
  return join({u16(0xbeef), u16(flags), u16(1), u16(answers), u16(0), u16(0), octets(labels), u8(0), u16(type), u16(1)});
}
Octets with_length(const Octets& message) { return join({u16(message.size()), message}); }
constexpr std::string_view kName = "\3www\7example\3org";

/// X.690 in short form.
Octets ber(uint8_t tag, const Octets& content) { return join({u8(tag), u8(content.size()), content}); }
Octets snmp(uint8_t version, const Octets& rest) { return ber(0x30, join({ber(2, u8(version)), rest})); }

Octets quic(uint32_t version, uint8_t first) {
  return join({u8(first), u32(version), u8(8), zeros(8), u8(0), u8(0), u16(0x4482), zeros(100)});
}
Octets bgp(uint8_t type, size_t body) { return join({repeated(0xff, 16), u16(19 + body), u8(type), zeros(body)}); }
std::vector<Case> cases() {
  const Octets greeting = join({hex("4a0000000a"), octets("5.5.5-10.11.6-MariaDB"), zeros(20)});
  return {
      {"tls-client-hello", By::tcp, 443, ClientHello{.server_name = "www.example.org"}.build(), "tls", "www.example.org"},
      {"tls-client-hello", By::tcp, 8443, ClientHello{.server_name = "x.example", .before = 3, .session_octets = 0}.build(), "tls", "x.example"},
      {"tls-server-hello", By::tcp, 443, join({hex("160303004a020000460303"), zeros(68)}), "tls"},
      {"tls-data", By::tcp, 443, join({hex("1703030400"), zeros(100)}), "tls"},
      {"http-request", By::tcp, 80, octets("GET /a HTTP/1.1\r\nHost: www.example.org\r\n\r\n"), "http", "www.example.org"},
      {"http-request", By::tcp, 3128, octets("CONNECT www.example.org:443 HTTP/1.1\r\nHost: www.example.org:443\r\n\r\n"), "http", "www.example.org"},
      {"http-response", By::tcp, 80, octets("HTTP/1.1 404 Not Found\r\n\r\n"), "http"},
      {"http2-preface", By::tcp, 50051, octets("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "http2"},
      {"quic-long-header", By::udp, 443, quic(1, 0xc3), "quic"},
      {"quic-long-header", By::udp, 443, quic(0x6b3343cf, 0xd3), "quic"},
      {"dns-query", By::udp, 53, dns(0x0100, kName), "dns", "www.example.org"},
      {"dns-response", By::udp, 53, dns(0x8180, kName, 1, 1), "dns", "www.example.org"},
      {"dns-tcp", By::tcp, 53, with_length(dns(0x0100, kName)), "dns", "www.example.org"},
      {"mdns", By::udp, 5353, join({u16(0), u16(0), u16(1), u16(0), u16(0), u16(0), octets("\5_http\4_tcp\5local"), u8(0), u16(12), u16(1)}), "mdns", "_http._tcp.local"},
      {"llmnr", By::udp, 5355, dns(0, "\4wpad"), "llmnr", "wpad"},
      {"netbios-name", By::udp, 137, join({u16(7), u16(0x0110), u16(1), u16(0), u16(0), u16(0), u8(32), repeated('C', 32), u8(0), u16(32), u16(1)}), "netbios"},
      {"bgp", By::tcp, 179, bgp(1, 10), "bgp"},
      {"bgp", By::tcp, 179, bgp(4, 0), "bgp"},
      {"ntp", By::udp, 123, join({hex("23000000"), zeros(44)}), "ntp"},
      {"ntp", By::udp, 123, join({hex("240106ec"), zeros(44)}), "ntp"},
      {"snmp", By::udp, 161, snmp(1, join({ber(4, octets("public")), ber(0xa0, zeros(20))})), "snmp"},
      {"snmp", By::udp, 161, snmp(3, ber(0x30, zeros(16))), "snmp"},
      {"snmp-cleartext", By::udp, 162, snmp(0, join({ber(4, octets("public")), ber(0xa4, zeros(20))})), "snmp"},
      {"syslog", By::udp, 514, octets("<34>1 2026-01-02T03:04:05Z host app - - - text"), "syslog"},
      {"dhcp", By::udp, 67, join({hex("01010600"), zeros(232), hex("63825363")}), "dhcp"},
      {"radius", By::udp, 1812, join({u8(1), u8(7), u16(56), zeros(52)}), "radius"},
      {"ldap", By::tcp, 389, ber(0x30, join({ber(2, u8(1)), ber(0x60, join({ber(2, u8(3)), ber(4, {}), ber(0x80, {})}))})), "ldap"},
      {"kerberos", By::udp, 88, ber(0x6a, ber(0x30, zeros(40))), "kerberos"},
      {"kerberos", By::tcp, 88, join({u32(44), ber(0x6a, ber(0x30, zeros(40)))}), "kerberos"},
      {"ike", By::udp, 500, join({zeros(16), u8(33), u8(0x20), u8(34), u8(8), u32(0), u32(300)}), "ike"},
      {"ike", By::udp, 4500, join({u32(0), zeros(16), u8(46), u8(0x20), u8(35), u8(8), u32(1), u32(300)}), "ike"},
      {"wireguard", By::udp, 51820, join({hex("01000000"), zeros(144)}), "wireguard"},
      {"openvpn", By::udp, 1194, join({u8(0x38), zeros(8), u8(0), u32(0)}), "openvpn"},
      {"openvpn", By::tcp, 1194, join({u16(14), u8(0x38), zeros(8), u8(0), u32(0)}), "openvpn"},
      {"ssdp", By::udp, 1900, octets("M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n"), "ssdp"},
      {"ssh", By::tcp, 22, octets("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"), "ssh"},
      {"ssh", By::tcp, 2222, octets("SSH-1.99-Cisco-1.25\n"), "ssh"},
      {"rdp", By::tcp, 3389, join({hex("0300002b26e00000000000"), octets("Cookie: mstshash=user\r\n"), hex("0100080003000000")}), "rdp"},
      {"rdp", By::tcp, 3389, hex("030000130ee000000000000100080003000000"), "rdp"},
      {"rdp", By::tcp, 3389, hex("030000130ed000001234000209080002000000"), "rdp"},
      {"telnet", By::tcp, 23, hex("fffd18fffd20"), "telnet"},
      {"vnc", By::tcp, 5900, octets("RFB 003.008\n"), "vnc"},
      {"smb", By::tcp, 445, join({u32(68), hex("fe"), octets("SMB"), zeros(64)}), "smb"},
      {"smb1", By::tcp, 445, join({u32(47), hex("ff"), octets("SMBr"), zeros(40)}), "smb"},
      {"nfs", By::tcp, 2049, join({u32(0x80000028), u32(77), u32(0), u32(2), u32(100003), u32(3), u32(0), zeros(16)}), "nfs"},
      {"nfs", By::udp, 2049, join({u32(77), u32(0), u32(2), u32(100003), u32(3), u32(0), zeros(16)}), "nfs"},
      {"ftp", By::tcp, 21, octets("220 ready\r\n"), "ftp"},
      {"smtp", By::tcp, 25, octets("ehlo mail.example\r\n"), "smtp"},
      {"imap", By::tcp, 143, octets("* OK [CAPABILITY IMAP4rev1]\r\n"), "imap"},
      {"imap", By::tcp, 143, octets("a1 LOGIN x y\r\n"), "imap"},
      {"pop3", By::tcp, 110, octets("+OK ready\r\n"), "pop3"},
      {"sip", By::udp, 5060, octets("INVITE sip:a@example.org SIP/2.0\r\n"), "sip"},
      {"sip", By::tcp, 5060, octets("SIP/2.0 180 Ringing\r\n"), "sip"},
      {"rtsp", By::tcp, 554, octets("DESCRIBE rtsp://192.0.2.1/stream RTSP/1.0\r\n"), "rtsp"},
      {"stun", By::udp, 3478, join({u16(1), u16(0), u32(0x2112a442), zeros(12)}), "stun"},
      {"postgresql", By::tcp, 5432, join({u32(8), u32(80877103)}), "postgresql"},
      {"postgresql", By::tcp, 5432, join({u32(23), u16(3), u16(0), octets("user"), u8(0), octets("weir"), u8(0), u8(0)}), "postgresql"},
      {"mysql", By::tcp, 3306, greeting, "mysql"},
      {"redis", By::tcp, 6379, octets("*1\r\n$4\r\nPING\r\n"), "redis"},
      {"mongodb", By::tcp, 27017, join({hex("3a000000"), hex("01000000"), hex("00000000"), hex("dd070000"), zeros(40)}), "mongodb"},
      {"mssql", By::tcp, 1433, hex("1201002f0000010000001a00060100200001020021000103002200040400260001ff"), "mssql"},
      {"oracle", By::tcp, 1521, hex("00e90000010000000139012c0c412000ffff7f08"), "oracle"},
      {"cassandra", By::tcp, 9042, hex("040000000500000000"), "cassandra"},
      {"cassandra", By::tcp, 9042, join({hex("0400000001"), u32(22), u16(1), u16(11), octets("CQL_VERSION"), u16(5), octets("3.0.0")}), "cassandra"},
      {"memcached", By::tcp, 11211, octets("stats\r\n"), "memcached"},
      {"kafka", By::tcp, 9092, join({u32(40), u16(18), u16(3), u32(1), u16(6), octets("client")}), "kafka"},
      {"mqtt", By::tcp, 1883, join({u8(0x10), u8(20), u16(4), octets("MQTT"), u8(4), u8(2), u16(60), u16(8), octets("client-1")}), "mqtt"},
      {"mqtt", By::tcp, 1883, join({u8(0x10), u8(0x80 | 20), u8(1), u16(6), octets("MQIsdp"), u8(3)}), "mqtt"},
      {"amqp", By::tcp, 5672, join({octets("AMQP"), hex("00000901")}), "amqp"},
      {"nats", By::tcp, 4222, octets("INFO {\"server_id\":\"N\",\"version\":\"2.9\"}\r\n"), "nats"},
      {"kubernetes-api", By::tcp, 8001, octets("GET /api/v1/namespaces/default/pods HTTP/1.1\r\nHost: k\r\n\r\n"), "http", "k"},
      {"kubernetes-tls", By::tcp, 6443, ClientHello{.server_name = "api.example"}.build(), "tls", "api.example"},
      {"kubernetes-name", By::udp, 53, dns(0x0100, "\3web\3dev\3svc\7cluster\5local"), "dns", "web.dev.svc.cluster.local"},
      {"kubernetes-name", By::tcp, 443, ClientHello{.server_name = "kubernetes.default.svc"}.build(), "tls", "kubernetes.default.svc"},
      {"bittorrent", By::tcp, 6881, join({u8(19), octets("BitTorrent protocol"), zeros(48)}), "bittorrent"},
      {"bittorrent-dht", By::udp, 6881, octets("d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe"), "bittorrent"},
      {"bittorrent-tracker", By::udp, 6969, hex("0000041727101980000000001234abcd"), "bittorrent"},
      {"bittorrent-tracker", By::tcp, 80, octets("GET /announce?info_hash=%12 HTTP/1.1\r\nHost: tracker.example\r\n\r\n"), "bittorrent", "tracker.example"},
      {"mining-stratum", By::tcp, 3333, octets("{\"id\": 1, \"method\": \"mining.subscribe\", \"params\": []}\n"), "stratum"},
      {"mining-monero", By::tcp, 3333, octets("{\"id\":1,\"jsonrpc\":\"2.0\",\"method\":\"login\",\"params\":{\"login\":\"48edfHu7V9Z84YzzMa6fUueoELZ9ZRXq9VetWzYGzKt5\",\"pass\":\"x\"}}\n"), "stratum"},
      {"mining-pool-name", By::udp, 53, dns(0x0100, "\3xmr\10nanopool\3org"), "dns", "xmr.nanopool.org"},
      {"scanner-http", By::tcp, 80, octets("GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: Mozilla/5.0 zgrab/0.x\r\n\r\n"), "http", "x"},
      {"scanner-ssh", By::tcp, 22, octets("SSH-2.0-OpenSSH-keyscan\r\n"), "ssh"},
      {"scanner-sip", By::udp, 5060, octets("OPTIONS sip:100@192.0.2.1 SIP/2.0\r\nUser-Agent: friendly-scanner\r\n"), "sip"},
      {"scanner-rdp", By::tcp, 3389, join({hex("0300002a25e00000000000"), octets("Cookie: mstshash=nmap\r\n"), hex("0100080003000000")}), "rdp"},
      {"amplification-ntp", By::udp, 123, join({hex("1700032a"), zeros(4)}), "ntp"},
      {"amplification-memcached", By::udp, 11211, join({u16(1), u16(0), u16(1), u16(0), octets("stats\r\n")}), "memcached"},
      {"amplification-dns", By::udp, 53, dns(0x0100, kName, 255), "dns", "www.example.org"},
  };
}

class Shipped : public ::testing::Test {
 protected:
  void SetUp() override { WEIR_NEEDS_ENGINE(); }
};

TEST_F(Shipped, FindWhatTheyAreFor) {
  Classifier c(shipped());
  std::set<std::string> tried;
  for (const Case& each : cases()) {
    SCOPED_TRACE(each.rule);
    tried.insert(each.rule);
    const Octets frame = each.by == By::tcp ? testing::tcp_frame(each.port, each.payload) : testing::udp_frame(each.port, each.payload);
    const Seen seen = c.sample(frame);
    EXPECT_THAT(seen.rule_ids, Contains(each.rule));
    EXPECT_EQ(seen.application, each.application);
    EXPECT_EQ(seen.server_name, each.server_name);
    EXPECT_EQ(seen.verdict, Verdict{});
  }
  for (const Rule& rule : shipped()->rules()) EXPECT_TRUE(tried.contains(rule.id)) << rule.id << " has no case";
}

// What one protocol's packets are is not another's: each case has one application, and no rule of another.
TEST_F(Shipped, DoNotTakeOneForTheOther) {
  Classifier c(shipped());
  std::map<std::string, const Rule*> by_id;
  for (const Rule& rule : shipped()->rules()) by_id[rule.id] = &rule;
  for (const Case& each : cases()) {
    SCOPED_TRACE(each.rule);
    const Octets frame = each.by == By::tcp ? testing::tcp_frame(each.port, each.payload) : testing::udp_frame(each.port, each.payload);
    for (const std::string& id : c.sample(frame).rule_ids) {
      const Rule& rule = *by_id[id];
      const bool is_http_too = each.application == std::string("bittorrent") && rule.application == "http";
      EXPECT_TRUE(rule.application.empty() || rule.application == each.application || is_http_too) << id;
    }
  }
}

// What is ordinary is called nothing else: a label that is often wrong says nothing, and some accuse.
TEST_F(Shipped, CallNobodyWhatItIsNot) {
  Classifier c(shipped());
  const auto web = [](std::string_view request, std::string_view agent = "Mozilla/5.0") {
    return octets(std::string(request) + " HTTP/1.1\r\nHost: www.example.org\r\nUser-Agent: " + std::string(agent) + "\r\nAccept: */*\r\n\r\n");
  };
  const Octets ordinary[] = {
      web("GET /api/v1/query?query=up"),           web("GET /api/v1/timelines/home"),     web("GET /api/v1"),
      web("POST /api/v1/users"),                   web("GET /apis"  "h"),                 web("GET /api/v1/podsters"  "-club"),
      web("GET /apis/weather/today"),              web("GET /", "QuizMap/1.0"),           web("GET /", "Genessus/2.1 (Linux)"),
      web("GET /", "TheExpanse/3"),                web("GET /", "my-nucleids/1"),         web("GET /search?user-agent=x", "Mozilla/5.0 (X11; zmapper)"),
      octets(R"({"jsonrpc":"2.0","id":1,"method":"login","params":{"username":"alice","password":"x"}})"),
      octets(R"({"jsonrpc":"2.0","id":1,"method":"login","params":{"login":"alice@example.org","password":"correct horse battery staple"}})"),
      octets(R"({"id":7,"method":"submit","params":{"form":"contact","fields":{"name":"Bob"}}})"),
      octets(R"({"id":7,"method":"eth_blockNumber","params":[]})"),
      octets("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"),
  };
  for (const Octets& payload : ordinary) {
    for (const uint16_t port : {uint16_t{80}, uint16_t{8080}, uint16_t{3333}}) {
      const Seen seen = c.sample(testing::tcp_frame(port, payload));
      for (const char* label : {"kubernetes", "mining", "scanner", "p2p", "amplification"}) {
        EXPECT_THAT(seen.labels, ::testing::Not(Contains(label))) << std::string(payload.begin(), payload.end());
      }
      EXPECT_NE(seen.application, "stratum");
    }
  }
  EXPECT_THAT(c.sample(testing::udp_frame(5060, octets("REGISTER sip:x SIP/2.0\r\nUser-Agent: mysipclient 2\r\n"))).labels,
              ::testing::Not(Contains("scanner")));
}

// And what is meant is found in the forms that it takes.
TEST_F(Shipped, KnowTheFormsOfWhatTheyAreFor) {
  Classifier c(shipped());
  for (const char* path : {"/api/v1/pods?limit=500", "/api/v1/namespaces/default/pods/x/log", "/apis", "/apis/apps/v1/deployments", "/apis?timeout=32s",
                           "/apis/metrics.k8s.io/v1beta1/nodes", "/livez?verbose", "/openapi/v2?timeout=32s"}) {
    EXPECT_THAT(c.sample(testing::tcp_frame(8001, octets(std::string("GET ") + path + " HTTP/1.1\r\n\r\n"))).rule_ids, Contains("kubernetes-api")) << path;
  }
  for (const char* agent : {"Mozilla/5.0 (compatible; CensysInspect/1.1; +https://about.censys.io/)", "masscan/1.3 (https://github.com/robertdavidgraham/masscan)",
                            "Expanse, a Palo Alto Networks company, searches across the global IPv4 space", "sqlmap/1.7", "Mozilla/5.0 zmap/2.1"}) {
    EXPECT_THAT(c.sample(testing::tcp_frame(80, octets(std::string("GET / HTTP/1.1\r\nuser-agent: ") + agent + "\r\n\r\n"))).rule_ids,
                Contains("scanner-http")) << agent;
  }
  for (const char* message : {R"({"id":2,"jsonrpc":"2.0","method":"submit","params":{"id":"6b2e","job_id":"4BiGm3/RgGQzgkTI/xV0smdA","nonce":"d0030040"}})",
                              R"({"id":3,"jsonrpc":"2.0","method":"keepalived","params":{"id":"6b2e"}})"}) {
    EXPECT_THAT(c.sample(testing::tcp_frame(3333, octets(message))).rule_ids, Contains("mining-monero")) << message;
  }
}

// The rest of a connection is nothing in particular.
TEST_F(Shipped, LeaveOctetsAlone) {
  Classifier c(shipped());
  uint64_t random = 42;
  size_t labelled = 0;
  constexpr size_t kPackets = 5000;
  for (size_t i = 0; i < kPackets; ++i) {
    Octets payload(100);
    for (uint8_t& octet : payload) octet = static_cast<uint8_t>((random = random * 6364136223846793005ull + 1442695040888963407ull) >> 56);
    const uint16_t port = static_cast<uint16_t>(1024 + i * 13);
    labelled += !c.sample(i % 2 == 0 ? testing::tcp_frame(port, payload) : testing::udp_frame(port, payload)).rule_ids.empty();
  }
  EXPECT_LE(labelled, kPackets / 500);
}

/// Packets of real traffic, as an agent samples all of them: how many of each application, and all names.
struct Found {
  std::map<std::string, size_t> applications;
  std::set<std::string> names;
};

Found classify_capture(const std::filesystem::path& path) {
  constexpr size_t kSllOctets = 16;
  Found found;
  auto reader = lab::CaptureReader::open(path);
  EXPECT_TRUE(reader) << path;
  if (!reader) return found;
  Classifier c(shipped());
  lab::CapturedFrame frame;
  for (auto more = reader->next(frame); more && *more; more = reader->next(frame)) {
    const bool is_ethernet = frame.link == packet::LinkType::ethernet;
    if (!is_ethernet && frame.link != packet::LinkType::linux_sll) continue;
    const auto octets = is_ethernet ? frame.octets : frame.octets.subspan(std::min(kSllOctets, frame.octets.size()));
    const Seen seen = c.sample(Octets(octets.begin(), octets.end()), 1500, is_ethernet ? lab::sflow::kHeaderEthernet : lab::sflow::kHeaderIpv4);
    if (!seen.application.empty()) ++found.applications[seen.application];
    if (!seen.server_name.empty()) found.names.insert(seen.server_name);
  }
  return found;
}

TEST_F(Shipped, KnowRealTraffic) {
  const auto folder = test::captures_folder() / "CESNET-ipfixprobe" / "inputs";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no captures beside the project";
  struct {
    const char* file;
    const char* application;
    size_t packets;
    const char* name;
  } const kExpected[] = {
      {"dns.pcap", "dns", 16, "youtube.com"},   {"http.pcap", "http", 17, "httpbin.org"},
      {"mqtt.pcap", "mqtt", 5, ""},             {"netbios.pcap", "netbios", 20, ""},
      {"ntp.pcap", "ntp", 56, ""},              {"quic_initial-sample.pcap", "quic", 1, ""},
      {"smtp.pcap", "smtp", 8, ""},             {"ssdp.pcap", "ssdp", 103, ""},
      {"tls.pcap", "tls", 85, "ja3er.com"},     {"idpcontent.pcap", "http", 2, "hynek.org"},
  };
  for (const auto& expected : kExpected) {
    SCOPED_TRACE(expected.file);
    Found found = classify_capture(folder / expected.file);
    EXPECT_EQ(found.applications[expected.application], expected.packets);
    const std::string name = expected.name;
    EXPECT_TRUE(name.empty() || found.names.contains(name)) << name;
  }
  EXPECT_TRUE(classify_capture(folder / "arp.pcap").applications.empty());
}

// What real agents sampled: pmacct's sfprobe and Open vSwitch.
TEST_F(Shipped, KnowWhatRealAgentsSample) {
  const auto folder = test::captures_folder() / "generated-third-party";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no captures beside the project";
  using Counts = std::map<std::string, size_t>;
  const std::pair<const char*, Counts> kExpected[] = {
      {"pmacctd-sfprobe-mix.pcap", {{"dhcp", 15}, {"dns", 18}, {"http", 9}, {"ntp", 28}, {"sip", 23}, {"smtp", 2}}},
      {"ovs-sflow.pcap", {{"dhcp", 14}, {"dns", 20}, {"http", 10}, {"ntp", 25}, {"sip", 15}, {"telnet", 2}}},
  };
  for (const auto& [file, expected] : kExpected) {
    SCOPED_TRACE(file);
    auto reader = lab::CaptureReader::open(folder / file);
    ASSERT_TRUE(reader);
    Classifier c(shipped());
    lab::CapturedFrame frame;
    for (auto more = reader->next(frame); more && *more; more = reader->next(frame)) {
      const auto view = packet::parse_frame(frame.octets, frame.link);
      if (view.verdict == packet::FrameVerdict::udp) c.take({view.payload.begin(), view.payload.end()});
    }
    Counts applications;
    for (const Seen& seen : c.seen) {
      if (!seen.application.empty()) ++applications[seen.application];
    }
    EXPECT_EQ(applications, expected);
  }
}

}  // namespace
}  // namespace weir::classify
