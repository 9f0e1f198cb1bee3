#include "classify/payload_names.h"

#include "tls_hello.h"

namespace weir::classify {
namespace {

using testing::ClientHello;
using testing::Octets;
using testing::octets;

std::string name_in(Extract what, const Octets& payload, uint8_t proto = 6) {
  ExtractedName name;
  extract(what, payload, proto, name);
  return std::string(name.name());
}

TEST(TlsName, IsTheServerNameOfAClientHello) {
  EXPECT_EQ(name_in(Extract::tls, ClientHello{.server_name = "www.Example.com"}.build()), "www.example.com");
  EXPECT_EQ(name_in(Extract::tls, ClientHello{.server_name = "a.example", .before = 5, .session_octets = 0}.build()), "a.example");
}

// Each cut of a hello: the name is told whole or not at all.
TEST(TlsName, OfATruncatedHelloIsWholeOrNotThere) {
  const Octets whole = ClientHello{.server_name = "host.example.net", .before = 2}.build();
  size_t told = 0;
  for (size_t size = 0; size <= whole.size(); ++size) {
    const std::string name = name_in(Extract::tls, Octets(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)));
    EXPECT_TRUE(name.empty() || name == "host.example.net") << size;
    told += !name.empty();
  }
  EXPECT_GT(told, 0u);
}

TEST(TlsName, IsNoneWhereThereIsNone) {
  EXPECT_EQ(name_in(Extract::tls, ClientHello{.server_name = ""}.build()), "");
  EXPECT_EQ(name_in(Extract::tls, ClientHello{.server_name = "bad name"}.build()), "");
  EXPECT_EQ(name_in(Extract::tls, ClientHello{.server_name = std::string(254, 'a')}.build()), "");
  EXPECT_EQ(name_in(Extract::tls, ClientHello{.server_name = std::string(253, 'a')}.build()), std::string(253, 'a'));
  Octets server = ClientHello{.server_name = "host.example"}.build();
  server[5] = 2;  // a ServerHello
  EXPECT_EQ(name_in(Extract::tls, server), "");
  Octets other = ClientHello{.server_name = "host.example"}.build();
  other[0] = 23;
  EXPECT_EQ(name_in(Extract::tls, other), "");
}

TEST(HttpName, IsTheHost) {
  EXPECT_EQ(name_in(Extract::http, octets("GET / HTTP/1.1\r\nAccept: */*\r\nhOsT:  www.Example.org:8080 \r\n\r\n")), "www.example.org");
  EXPECT_EQ(name_in(Extract::http, octets("POST /x HTTP/1.1\nHost:[2001:db8::1]:80\n\n")), "[2001:db8::1]");
  EXPECT_EQ(name_in(Extract::http, octets("GET / HTTP/1.1\r\n\r\nHost: body\r\n")), "");
  EXPECT_EQ(name_in(Extract::http, octets("GET / HTTP/1.1\r\nHost: cut.exam")), "");
  EXPECT_EQ(name_in(Extract::http, octets("GET / HTTP/1.1\r\nXHost: no\r\nHost:\r\n")), "");
  EXPECT_EQ(name_in(Extract::http, octets("HTTP/1.1 200 OK\r\nHost: www.example\r\n")), "");
  EXPECT_EQ(name_in(Extract::http, octets("")), "");
}

// With a dot behind it a name reaches the same server.
TEST(HttpName, IsTheSameWithADotBehind) {
  EXPECT_EQ(name_in(Extract::http, octets("GET / HTTP/1.1\r\nHost: pool.example.com.:80\r\n\r\n")), "pool.example.com");
  EXPECT_EQ(name_in(Extract::http, octets("GET / HTTP/1.1\r\nHost: .\r\n\r\n")), "");
  EXPECT_EQ(name_in(Extract::tls, ClientHello{.server_name = "pool.example.com."}.build()), "pool.example.com");
}

TEST(HttpName, ComesWithTheMethod) {
  ExtractedName name;
  read_http_name(octets("DELETE / HT"), name);
  EXPECT_EQ(name.method, "delete");
  read_http_name(octets("BREW / HT"), name);
  EXPECT_EQ(name.method, "");
}

Octets dns_question(const std::string& name, uint16_t questions = 1) {
  Octets message{0x12, 0x34, 1, 0, static_cast<uint8_t>(questions >> 8), static_cast<uint8_t>(questions), 0, 0, 0, 0, 0, 0};
  const Octets qname = octets(name);
  message.insert(message.end(), qname.begin(), qname.end());
  const uint8_t rest[] = {0, 0, 1, 0, 1};
  message.insert(message.end(), std::begin(rest), std::end(rest));
  return message;
}

TEST(DnsName, IsTheFirstQuestions) {
  EXPECT_EQ(name_in(Extract::dns, dns_question("\3www\7eXample\3net"), 17), "www.example.net");
  EXPECT_EQ(name_in(Extract::dns, dns_question(""), 17), "");
  EXPECT_EQ(name_in(Extract::dns, dns_question("\3www", 0), 17), "");
  EXPECT_EQ(name_in(Extract::dns, dns_question("\3w w"), 17), "");
  EXPECT_EQ(name_in(Extract::dns, dns_question("\3w.w\7example"), 17), "") << "a label's own dot is not one between labels";
  EXPECT_EQ(name_in(Extract::dns, dns_question("\xc0\x0c"), 17), "");
  Octets tcp{0, 29};
  const Octets message = dns_question("\3www\7example\3net");
  tcp.insert(tcp.end(), message.begin(), message.end());
  EXPECT_EQ(name_in(Extract::dns, tcp, 6), "www.example.net");
}

TEST(DnsName, IsBoundedAndWhole) {
  std::string longest;
  for (int i = 0; i < 3; ++i) longest += '\x3f' + std::string(63, 'a');
  EXPECT_EQ(name_in(Extract::dns, dns_question(longest + '\x3d' + std::string(61, 'b')), 17).size(), 253u);
  EXPECT_EQ(name_in(Extract::dns, dns_question(longest + '\x3f' + std::string(63, 'b')), 17), "");
  const Octets whole = dns_question("\3www\7example\3net");
  for (size_t size = 0; size < whole.size() - 4; ++size) {
    EXPECT_EQ(name_in(Extract::dns, Octets(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)), 17), "") << size;
  }
}

}  // namespace
}  // namespace weir::classify
