// What is taken for an export datagram, and where one message of a file ends.
#include "lab/export_payload.h"

#include <gtest/gtest.h>

#include "lab/exporter_model.h"
#include "lab/message_builder.h"
#include "support/program.h"

namespace weir::lab {
namespace {

Octets sflow_datagram(uint32_t samples) {
  Octets out = join({u32(5), u32(1), ipv4("192.0.2.1"), u32(0), u32(7), u32(1000), u32(samples)});
  for (uint32_t i = 0; i < samples; ++i) append(out, join({u32(1), u32(12), zeros(12)}));
  return out;
}

Octets template_datagram_v9() {
  return NetflowV9Builder{}.templates({{.id = 256, .fields = {{8, 4}}}}).build();
}

struct Message {
  const char* name;
  Octets octets;
};

std::vector<Message> messages() {
  return {
      {"v5", NetflowV5Builder{}.record({}).record({}).build()},
      {"v9_template", template_datagram_v9()},
      {"v9_data", NetflowV9Builder{}.data(256, {{u32(1)}, {u32(2)}}).build()},
      {"ipfix", IpfixBuilder{}.templates({{.id = 256, .fields = {{8, 4}}}}).build()},
      {"ipfix_empty", IpfixBuilder{}.build()},
      {"sflow", sflow_datagram(3)},
  };
}

TEST(LooksLikeExport, KnowsEachProtocol) {
  for (const Message& m : messages()) EXPECT_TRUE(looks_like_export(m.octets)) << m.name;
}

TEST(LooksLikeExport, KnowsVersionsThatAreNotDecodedYet) {
  EXPECT_TRUE(looks_like_export(join({u16(7), u16(2), zeros(20), zeros(104)})));
  EXPECT_TRUE(looks_like_export(join({u16(1), u16(1), zeros(12), zeros(48)})));
  EXPECT_TRUE(looks_like_export(join({u16(1), u16(1), zeros(12), zeros(52)})));
}

TEST(LooksLikeExport, IsNotTakenInByOthers) {
  EXPECT_FALSE(looks_like_export({}));
  EXPECT_FALSE(looks_like_export(zeros(100)));
  EXPECT_FALSE(looks_like_export(text("\x12\x34\x01\x00 a query of a name in the DNS")));
  EXPECT_FALSE(looks_like_export(NetflowV5Builder{}.record({}).count(2).build()));
  EXPECT_FALSE(looks_like_export(NetflowV9Builder{}.count(1).set(7, zeros(4)).build()));
  EXPECT_FALSE(looks_like_export(NetflowV9Builder{}.count(1).set(256, zeros(4), 9).build()));
  EXPECT_FALSE(looks_like_export(IpfixBuilder{}.length(15).build()));
  EXPECT_FALSE(looks_like_export(IpfixBuilder{}.length(17).build()));
}

TEST(FirstMessage, EndsWhereTheNextBegins) {
  for (const Message& first : messages()) {
    EXPECT_EQ(first_message_octets(first.octets), first.octets.size()) << first.name;
    for (const Message& next : messages()) {
      // Nothing tells sFlow's version from a set of id 0 and length 5 behind v9.
      if (first.octets[1] == 9 && next.octets[1] == 0) continue;
      EXPECT_EQ(first_message_octets(join({first.octets, next.octets})), first.octets.size())
          << first.name << " before " << next.name;
    }
  }
}

TEST(FirstMessage, AlwaysGoesForward) {
  for (const Message& m : messages()) {
    for (size_t length = 1; length <= m.octets.size(); ++length) {
      const Octets cut(m.octets.begin(), m.octets.begin() + static_cast<ptrdiff_t>(length));
      const size_t taken = first_message_octets(cut);
      EXPECT_GT(taken, 0u);
      EXPECT_LE(taken, length);
    }
  }
}

TEST(PayloadReader, ReadsMessagesBackToBack) {
  const test::TemporaryFolder folder;
  ExporterModel model({.protocol = ExportProtocol::netflow_v9, .start_ns = 1});
  std::vector<Octets> all;
  std::string file;
  for (int i = 0; i < 300; ++i) {  // several times what the reader holds
    ExportDatagram d;
    model.next(1, d);
    all.push_back(d.octets);
    file.append(d.octets.begin(), d.octets.end());
  }
  test::write_file(folder / "raw", file);
  auto reader = PayloadReader::open(folder / "raw");
  ASSERT_TRUE(reader);
  for (const Octets& expected : all) {
    const auto message = reader->next();
    ASSERT_TRUE(message);
    ASSERT_EQ(Octets(message->begin(), message->end()), expected);
  }
  EXPECT_TRUE(reader->next()->empty());
  EXPECT_TRUE(reader->next()->empty());
}

TEST(PayloadReader, SaysWhatCannotBeRead) {
  EXPECT_FALSE(PayloadReader::open("/no/such/file"));
  EXPECT_FALSE(PayloadReader::open("/tmp"));
}

TEST(ExportSeconds, AreInTheHeader) {
  EXPECT_EQ(export_seconds(NetflowV5Builder{}.unix_time(11).record({}).build()), 11u);
  EXPECT_EQ(export_seconds(NetflowV9Builder{}.unix_secs(12).build()), 12u);
  EXPECT_EQ(export_seconds(IpfixBuilder{}.export_time(13).build()), 13u);
  EXPECT_EQ(export_seconds(sflow_datagram(0)), 0u);
}

}  // namespace
}  // namespace weir::lab
