#include "enrich/enrichment.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <maxminddb.h>
#include <netinet/in.h>
#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <thread>

#include "support/mmdb_writer.h"

namespace weir::enrich {
namespace {

namespace fs = std::filesystem;
using test::MmdbWriter;
using testing::HasSubstr;

IpAddress ip(std::string_view text) { return *IpAddress::parse(text); }
std::string_view octets(const IpAddress& address) {
  return {reinterpret_cast<const char*>(address.wire_data()), address.wire_octets()};
}
Prefix prefix(std::string_view text, uint32_t value) {
  Prefix made = *parse_prefix(text);
  made.value = value;
  return made;
}
/// What a table of one set says.
uint32_t ask(const AddressTable& table, std::string_view address) {
  const IpAddress a = ip(address);
  const uint32_t value = table.combinations()[table.find(octets(a))][0];
  // The mapped form is the same address.
  EXPECT_EQ(table.combinations()[table.find({reinterpret_cast<const char*>(a.octets.data()), 16})][0], value) << address;
  return value;
}
AddressTable table_of(const std::vector<Prefix>& prefixes) {
  const std::vector<Prefix> sets[] = {prefixes};
  auto table = AddressTable::build(sets);
  EXPECT_TRUE(table);
  return std::move(*table);
}

TEST(Prefixes, AreReadAsPeopleWriteThem) {
  EXPECT_EQ(parse_prefix("192.0.2.0/24")->length, 96 + 24);
  EXPECT_EQ(parse_prefix("192.0.2.1")->length, 128);
  EXPECT_EQ(parse_prefix("2001:db8::/32")->length, 32);
  EXPECT_EQ(parse_prefix("::/0")->length, 0);
  EXPECT_EQ(parse_prefix("0.0.0.0/0")->length, 96);
  for (const char* wrong : {"", "/", "192.0.2.0/33", "192.0.2.0/-1", "192.0.2.0/", "192.0.2.0/2x", "2001:db8::/129", "192.0.2/24", "x"}) {
    EXPECT_FALSE(parse_prefix(wrong)) << wrong;
  }
}

TEST(AddressTable, TheLongestPrefixHolds) {
  const AddressTable table = table_of({prefix("10.0.0.0/8", 1), prefix("10.1.0.0/16", 2), prefix("10.1.2.0/24", 3), prefix("10.1.2.3", 4),
                                       prefix("10.1.255.0/24", 5), prefix("2001:db8::/32", 6), prefix("2001:db8:0:1::/64", 7),
                                       prefix("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", 8)});
  const struct {
    const char* address;
    uint32_t value;
  } cases[] = {{"9.255.255.255", 0}, {"10.0.0.0", 1},     {"10.0.255.255", 1}, {"10.1.0.0", 2},          {"10.1.1.255", 2},
               {"10.1.2.0", 3},      {"10.1.2.2", 3},     {"10.1.2.3", 4},     {"10.1.2.4", 3},          {"10.1.3.0", 2},
               {"10.1.255.0", 5},    {"10.1.255.255", 5}, {"10.2.0.0", 1},     {"10.255.255.255", 1},    {"11.0.0.0", 0},
               {"255.255.255.255", 0}, {"0.0.0.0", 0},    {"2001:db8::", 6},   {"2001:db8:0:1::", 7},    {"2001:db8:0:1:ffff::", 7},
               {"2001:db8:0:2::", 6}, {"2001:db8:ffff:ffff:ffff:ffff:ffff:fffe", 6}, {"2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", 8},
               {"2001:db9::", 0},    {"2001:db7:ffff::", 0}, {"::1", 0}, {"fe80::1", 0}};
  for (const auto& c : cases) EXPECT_EQ(ask(table, c.address), c.value) << c.address;
  EXPECT_EQ(table.find({}), 0u);
  EXPECT_EQ(table.find("abc"), 0u);
}

TEST(AddressTable, TheWholeSpaceAndItsLastAddress) {
  const AddressTable table = table_of({prefix("::/0", 1), prefix("0.0.0.0/0", 2), prefix("255.255.255.255", 3), prefix("ffff::/16", 4),
                                       prefix("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 5)});
  EXPECT_EQ(ask(table, "::"), 1u);
  EXPECT_EQ(ask(table, "0.0.0.0"), 2u);
  EXPECT_EQ(ask(table, "255.255.255.254"), 2u);
  EXPECT_EQ(ask(table, "255.255.255.255"), 3u);
  EXPECT_EQ(ask(table, "::1:0:0:0"), 1u);
  EXPECT_EQ(ask(table, "ffff::"), 4u);
  EXPECT_EQ(ask(table, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe"), 4u);
  EXPECT_EQ(ask(table, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), 5u);
}

TEST(AddressTable, OfTheSamePrefixTheLaterHolds) {
  EXPECT_EQ(ask(table_of({prefix("10.0.0.0/8", 1), prefix("10.0.0.0/8", 2)}), "10.0.0.1"), 2u);
}

// Against asking every prefix of every set.
TEST(AddressTable, AgreesWithLookingAtEachPrefix) {
  std::mt19937_64 random(5);
  for (int round = 0; round < 60; ++round) {
    std::vector<std::vector<Prefix>> sets(1 + random() % 4);
    std::vector<IpAddress> near;
    for (auto& set : sets) {
      const size_t count = random() % 60;
      for (size_t i = 0; i < count; ++i) {
        IpAddress address;
        // Few different bits, so that prefixes lie in each other.
        for (uint8_t& octet : address.octets) octet = random() % 3 == 0 ? static_cast<uint8_t>(random()) : (random() % 2 == 0 ? 0 : 0xff);
        if (random() % 2 == 0) address.octets[0] = 0x20;
        if (random() % 2 == 0) address = IpAddress::from_v4(static_cast<uint32_t>(random() & random()));
        const unsigned shortest = address.is_v4() ? 96 : 0;
        set.push_back({address, static_cast<uint8_t>(shortest + random() % (129 - shortest)), static_cast<uint32_t>(1 + random() % 9)});
        near.push_back(address);
      }
    }
    const auto table = AddressTable::build(sets);
    ASSERT_TRUE(table);
    for (int i = 0; i < 400; ++i) {
      IpAddress address;
      for (uint8_t& octet : address.octets) octet = static_cast<uint8_t>(random());
      if (!near.empty() && random() % 4 != 0) {
        address = near[random() % near.size()];
        const size_t bit = random() % 128;
        if (random() % 2 == 0 && (!address.is_v4() || bit >= 96)) address.octets[bit / 8] ^= static_cast<uint8_t>(0x80 >> bit % 8);
      }
      Values expected{};
      for (size_t s = 0; s < sets.size(); ++s) {
        int longest = -1;
        for (const Prefix& p : sets[s]) {
          bool is_under = true;
          for (unsigned bit = 0; bit < p.length && is_under; ++bit) {
            const uint8_t mask = static_cast<uint8_t>(0x80 >> bit % 8);
            is_under = (p.address.octets[bit / 8] & mask) == (address.octets[bit / 8] & mask);
          }
          if (is_under && p.length >= longest) longest = p.length, expected[s] = p.value;
        }
      }
      ASSERT_EQ(table->combinations()[table->find(octets(address))], expected) << "round " << round << " " << address.to_string();
    }
  }
}

struct EnrichFiles : testing::Test {
  std::string folder;
  EnrichFiles() {
    char name[] = "/tmp/weir-enrich-XXXXXX";
    folder = mkdtemp(name);
  }
  ~EnrichFiles() override { fs::remove_all(folder); }
  std::string path(const char* name) const { return folder + "/" + name; }
  void write(const char* name, std::string_view text) const { std::ofstream(path(name), std::ios::binary) << text; }
};

TEST_F(EnrichFiles, AllSourcesSayWhatTheyKnow) {
  MmdbWriter countries("GeoLite2-City");
  countries.add(ip("192.0.2.0"), 24, MmdbWriter::city("NL", "Utrecht"));
  countries.add(ip("192.0.2.128"), 25, MmdbWriter::country("DE"));
  countries.add(ip("2001:db8::"), 32, MmdbWriter::city("JP", "大阪"));
  countries.write(path("city.mmdb"));
  MmdbWriter numbers("GeoLite2-ASN", 4);
  numbers.add(ip("192.0.2.0"), 24, MmdbWriter::as_number(64500, "Example \"Net\""));
  numbers.write(path("asn.mmdb"));
  write("cloud.csv", "prefix,provider\n# theirs\n192.0.2.64/26, examplecloud\r\n\n2001:db8:1::/48,\"other, \"\"cloud\"\"\"\n");
  write("threats.csv", "192.0.2.66,botnet\n");
  const auto loaded = Enrichment::load({{path("city.mmdb"), path("asn.mmdb")}, {path("cloud.csv")}, {path("threats.csv")}});
  ASSERT_TRUE(loaded) << loaded.error().message;
  const auto facts = [&](std::string_view address) { return *(*loaded)->find(octets(ip(address))); };
  EXPECT_EQ(facts("192.0.2.66").country, "NL");
  EXPECT_EQ(facts("192.0.2.66").city, "Utrecht");
  EXPECT_EQ(facts("192.0.2.66").as_number, 64500u);
  EXPECT_EQ(facts("192.0.2.66").as_name, "Example \"Net\"");
  EXPECT_EQ(facts("192.0.2.66").cloud, "examplecloud");
  EXPECT_EQ(facts("192.0.2.66").threat, "botnet");
  EXPECT_EQ(facts("192.0.2.67").threat, "");
  EXPECT_EQ(facts("192.0.2.129").country, "DE");
  EXPECT_EQ(facts("192.0.2.129").city, "");
  EXPECT_EQ(facts("2001:db8:1::9").city, "大阪");
  EXPECT_EQ(facts("2001:db8:1::9").cloud, "other, \"cloud\"") << "as RFC 4180 has quotes";
  EXPECT_EQ(facts("198.51.100.1").country, "");
  ASSERT_EQ((*loaded)->sources().size(), 4u);
  EXPECT_EQ((*loaded)->sources()[0].type, "GeoLite2-City");
  EXPECT_EQ((*loaded)->sources()[0].version, "2026-01-01T00:00:00Z");
  EXPECT_EQ((*loaded)->sources()[3].version.size(), 16u);
}

TEST_F(EnrichFiles, AnEarlierSourceGoesFirst) {
  MmdbWriter first("A"), second("B");
  first.add(ip("192.0.2.0"), 24, MmdbWriter::country("NL"));
  second.add(ip("192.0.2.0"), 23, MmdbWriter::city("BE", "Gent"));
  first.write(path("1"));
  second.write(path("2"));
  const auto loaded = Enrichment::load({{path("1"), path("2")}, {}, {}});
  ASSERT_TRUE(loaded);
  EXPECT_EQ((*loaded)->find(octets(ip("192.0.2.1")))->country, "NL");
  EXPECT_EQ((*loaded)->find(octets(ip("192.0.3.1")))->country, "BE");
}

TEST_F(EnrichFiles, WrongFilesAreNamed) {
  write("bad.mmdb", "no database");
  write("list.csv", "prefix,name\n192.0.2.0/24,x\n192.0.2.300,y\n");
  write("nameless.csv", "192.0.2.0/24\n");
  EXPECT_THAT(Enrichment::load({{path("none.mmdb")}, {}, {}}).error().message, HasSubstr("none.mmdb: No such file"));
  EXPECT_THAT(Enrichment::load({{path("bad.mmdb")}, {}, {}}).error().message, HasSubstr("bad.mmdb: "));
  EXPECT_THAT(Enrichment::load({{}, {path("list.csv")}, {}}).error().message, HasSubstr("list.csv:3: 192.0.2.300 is no prefix"));
  EXPECT_THAT(Enrichment::load({{}, {}, {path("nameless.csv")}}).error().message, HasSubstr("nameless.csv:1: behind the prefix there is no name"));
  EXPECT_THAT(Enrichment::load({{}, {path("gone.csv")}, {}}).error().message, HasSubstr("gone.csv: No such file"));
}

// A time that no calendar has once ended the program, at a reload as well.
TEST_F(EnrichFiles, ATimeThatIsNoneIsRefused) {
  for (const uint64_t epoch : {uint64_t{0x7fffffffffffffff}, ~uint64_t{0}, uint64_t{1} << 62, uint64_t{253'402'300'800}}) {
    MmdbWriter writer("GeoLite2-City", 6, epoch);
    writer.add(ip("192.0.2.0"), 24, MmdbWriter::country("NL"));
    writer.write(path("future.mmdb"));
    const auto set = read_database(path("future.mmdb"));
    ASSERT_FALSE(set) << epoch;
    EXPECT_THAT(set.error().message, HasSubstr(fmt::format("future.mmdb: says that it was built {} s", epoch)));
  }
  MmdbWriter last("GeoLite2-City", 6, 253'402'300'799);
  last.write(path("last.mmdb"));
  const auto set = read_database(path("last.mmdb"));
  ASSERT_TRUE(set) << set.error().message;
  EXPECT_EQ(set->version, "9999-12-31T23:59:59Z");
}

// A database corrected in one entry, as reproducible builds make it: the same time, the same tree.
TEST_F(EnrichFiles, OneThatSaysSomethingElseIsAnotherOne) {
  std::vector<std::string> digests;
  for (const char* country : {"NL", "BE", "NL"}) {
    MmdbWriter writer("GeoLite2-City");
    writer.add(ip("192.0.2.0"), 24, MmdbWriter::country(country));
    writer.write(path("city.mmdb"));
    const auto loaded = Enrichment::load({{path("city.mmdb")}, {}, {}});
    ASSERT_TRUE(loaded);
    EXPECT_EQ((*loaded)->sources()[0].version, "2026-01-01T00:00:00Z");
    digests.push_back((*loaded)->sources()[0].digest);
  }
  EXPECT_EQ(digests[0].size(), 16u);
  EXPECT_NE(digests[0], digests[1]);
  EXPECT_EQ(digests[0], digests[2]);
}

// What is cut short under a mapping ends the process: here it is read, and read again, while somebody writes over it.
TEST_F(EnrichFiles, ADatabaseIsReadWhileItIsCutShort) {
  MmdbWriter writer("GeoLite2-City");
  for (int i = 0; i < 10'000; ++i) writer.add(IpAddress::from_v4(static_cast<uint32_t>(i) << 12), 20, MmdbWriter::city("NL", fmt::format("city {}", i)));
  const std::string good = writer.octets();
  write("city.mmdb", good);
  std::atomic<bool> is_over = false;
  std::thread other([&] {
    while (!is_over) {
      write("city.mmdb", "");
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      write("city.mmdb", good);
      std::this_thread::sleep_for(std::chrono::milliseconds(40));
    }
  });
  int whole = 0, refused = 0;
  for (int i = 0; i < 40; ++i) {
    const auto set = read_database(path("city.mmdb"));
    if (set) { EXPECT_EQ(set->prefixes.size(), 10'000u); }
    (set ? whole : refused) += 1;
  }
  is_over = true;
  other.join();
  EXPECT_EQ(whole + refused, 40);
  // How many were whole is a matter of who was faster; once nobody writes, it is.
  EXPECT_TRUE(read_database(path("city.mmdb")));
}

TEST_F(EnrichFiles, ADatabaseIsAFile) {
  EXPECT_THAT(read_database(folder).error().message, HasSubstr("is no file"));
  ASSERT_EQ(mkfifo(path("pipe").c_str(), 0600), 0);
  EXPECT_THAT(read_database(path("pipe")).error().message, HasSubstr("is no file"));
}

TEST(PrefixList, TakesAHeadingBehindCommentsAndAMark) {
  for (const char* text : {"# theirs\n\nprefix,provider\n192.0.2.0/24,a\n", "\xEF\xBB\xBFprefix,provider\n192.0.2.0/24,a\n",
                           "\xEF\xBB\xBF" "192.0.2.0/24,a\n", "\r\n \n#\nprefix\n192.0.2.0/24,a"}) {
    const auto set = parse_list(text, "list", DataSetKind::cloud);
    ASSERT_TRUE(set) << set.error().message;
    EXPECT_EQ(set->prefixes.size(), 1u);
  }
  // It is no heading in the middle.
  EXPECT_THAT(parse_list("192.0.2.0/24,a\nprefix,name\n", "list", DataSetKind::cloud).error().message, HasSubstr("list:2: prefix is no prefix"));
}

TEST(PrefixList, TakesMappedAddressesAsTheyAreWritten) {
  const auto mapped = parse_prefix("::ffff:192.0.2.0/120");
  ASSERT_TRUE(mapped);
  EXPECT_EQ(mapped->length, 120);
  EXPECT_EQ(mapped->address, ip("192.0.2.0"));
  EXPECT_EQ(parse_prefix("::ffff:192.0.2.1")->length, 128);
  EXPECT_EQ(parse_prefix("192.0.2.0/24")->length, 120);
  EXPECT_FALSE(parse_prefix("::ffff:10.0.0.0/8"));
  EXPECT_FALSE(parse_prefix("192.0.2.0/33"));
  EXPECT_FALSE(parse_prefix("::ffff:10.0.0.0/129"));
}

// Every octet of a small database turned: it is read, or refused, and never more.
TEST_F(EnrichFiles, ADamagedDatabaseIsReadOrRefused) {
  MmdbWriter writer("GeoLite2-City");
  for (int i = 0; i < 20; ++i) writer.add(ip(fmt::format("192.0.{}.0", i)), 24, MmdbWriter::city("NL", fmt::format("city {}", i)));
  const std::string good = writer.octets();
  int refused = 0;
  const size_t metadata = good.rfind("MaxMind.com");
  for (size_t at = 0; at < good.size(); at += at < metadata ? 3 : 1) {
    std::string bad = good;
    for (const int mask : {0x41, 0x80, 0x7f, 0xff}) {
      if (at < metadata && mask != 0x41) break;
      bad[at] = static_cast<char>(good[at] ^ mask);
      write("bad.mmdb", bad);
      refused += !read_database(path("bad.mmdb"));
    }
  }
  for (size_t length = 0; length < good.size(); length += 41) {
    write("bad.mmdb", good.substr(0, length));
    refused += !read_database(path("bad.mmdb"));
  }
  EXPECT_GT(refused, 0);
}

// Half a million prefixes of both families; a million addresses, and what libmaxminddb itself says of them.
TEST_F(EnrichFiles, AgreesWithLibmaxminddb) {
  std::mt19937_64 random(9);
  MmdbWriter writer("GeoLite2-Country");
  std::vector<IpAddress> near;
  std::vector<std::pair<unsigned, IpAddress>> prefixes;
  for (int i = 0; i < 500'000; ++i) {
    IpAddress address;
    unsigned length = 0;
    if (i % 5 != 0) {
      length = 8 + static_cast<unsigned>(random() % 25);
      address = IpAddress::from_v4(static_cast<uint32_t>(random()) & (0xffffffffu << (32 - length)));
    } else {
      length = 16 + static_cast<unsigned>(random() % 49);
      const uint64_t high = (uint64_t{1} << 61 | (random() >> 3)) & (~uint64_t{0} << (64 - length));
      store_be64(address.octets.data(), high);
    }
    prefixes.emplace_back(length, address);
  }
  std::sort(prefixes.begin(), prefixes.end());
  for (const auto& [length, address] : prefixes) {
    const char code[] = {static_cast<char>('A' + random() % 26), static_cast<char>('A' + random() % 26)};
    writer.add(address, length, MmdbWriter::country({code, 2}));
    if (near.size() < 100'000) near.push_back(address);
  }
  writer.add_alias(ip("2002::"), 16);
  writer.write(path("big.mmdb"));
  const auto loaded = Enrichment::load({{path("big.mmdb")}, {}, {}});
  ASSERT_TRUE(loaded) << loaded.error().message;
  MMDB_s mmdb{};
  ASSERT_EQ(MMDB_open(path("big.mmdb").c_str(), MMDB_MODE_MMAP, &mmdb), MMDB_SUCCESS);
  int found = 0;
  for (int i = 0; i < 1'000'000; ++i) {
    IpAddress address = IpAddress::from_v4(static_cast<uint32_t>(random()));
    if (i % 3 == 0) store_be64(address.octets.data(), uint64_t{1} << 61 | (random() >> 3)), store_be64(address.octets.data() + 8, random());
    if (i % 7 == 0) {
      address = near[random() % near.size()];
      address.octets[15] ^= static_cast<uint8_t>(random() % 2);
    }
    if (address.octets[0] == 0x20 && address.octets[1] == 0x02) continue;  // 6to4 is an address of its own here
    std::string expected;
    int error = 0;
    MMDB_lookup_result_s result{};
    if (address.is_v4()) {
      sockaddr_in v4{};
      v4.sin_family = AF_INET;
      std::memcpy(&v4.sin_addr, address.wire_data(), 4);
      result = MMDB_lookup_sockaddr(&mmdb, reinterpret_cast<sockaddr*>(&v4), &error);
    } else {
      sockaddr_in6 v6{};
      v6.sin6_family = AF_INET6;
      std::memcpy(&v6.sin6_addr, address.octets.data(), 16);
      result = MMDB_lookup_sockaddr(&mmdb, reinterpret_cast<sockaddr*>(&v6), &error);
    }
    ASSERT_EQ(error, MMDB_SUCCESS);
    MMDB_entry_data_s data{};
    if (result.found_entry && MMDB_get_value(&result.entry, &data, "country", "iso_code", nullptr) == MMDB_SUCCESS && data.has_data) {
      expected.assign(data.utf8_string, data.data_size);
      ++found;
    }
    ASSERT_EQ((*loaded)->find(octets(address))->country, expected) << address.to_string();
  }
  EXPECT_GT(found, 100'000);
  MMDB_close(&mmdb);
}

}  // namespace
}  // namespace weir::enrich
