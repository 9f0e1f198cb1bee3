// Capture files written and read back, and files that are cut, of other link types, or no captures.
#include "lab/capture_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pcap/pcap.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "lab/frame_builder.h"

namespace weir::lab {
namespace {

using testing::HasSubstr;

class CaptureFile : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "weir-capture-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name) const { return folder_ / name; }
  std::string with_octets(const std::string& name, const Octets& octets) const {
    std::ofstream(path(name), std::ios::binary)
        .write(reinterpret_cast<const char*>(octets.data()),
               static_cast<std::streamsize>(octets.size()));
    return path(name);
  }
  Octets octets_of(const std::string& file) const {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  std::filesystem::path folder_;
};

struct Read {
  std::vector<Octets> frames;
  std::vector<uint64_t> times_ns;
  std::string error;
};

Read read_all(const std::string& file) {
  Read all;
  Result<CaptureReader> reader = CaptureReader::open(file);
  if (!reader) return {{}, {}, reader.error().message};
  CapturedFrame frame;
  for (;;) {
    const Result<bool> more = reader->next(frame);
    if (!more) {
      all.error = more.error().message;
      EXPECT_FALSE(*reader->next(frame)) << "after an error the reader is at its end";
      return all;
    }
    if (!*more) return all;
    all.frames.emplace_back(frame.octets.begin(), frame.octets.end());
    all.times_ns.push_back(frame.timestamp_ns);
  }
}

const UdpEnds kEnds = {"192.0.2.1", "192.0.2.2", 1000, 2055};

// A pcapng file of one section and one Ethernet interface with default (microsecond) time stamps.
Octets little(uint64_t value, size_t width) {
  Octets out = be(value, width);
  std::reverse(out.begin(), out.end());
  return out;
}
Octets pcapng_block(uint32_t type, const Octets& body) {
  const size_t length = 12 + body.size();
  return join({little(type, 4), little(length, 4), body, little(length, 4)});
}
Octets pcapng_interface(uint16_t link) {
  return pcapng_block(1, join({little(link, 2), zeros(2), little(65535, 4)}));
}
Octets pcapng_packet(uint64_t microseconds, const Octets& frame) {
  Octets padded = frame;
  while (padded.size() % 4 != 0) padded.push_back(0);
  return pcapng_block(
      6, join({little(0, 4), little(microseconds >> 32, 4), little(microseconds & 0xffffffff, 4),
               little(frame.size(), 4), little(frame.size(), 4), padded}));
}
Octets pcapng_section() {
  return pcapng_block(0x0a0d0d0a,
                      join({little(0x1a2b3c4d, 4), little(1, 2), little(0, 2), filled(8, 0xff)}));
}

TEST_F(CaptureFile, KeepsFramesAndNanoseconds) {
  const std::vector<Octets> frames = {udp_frame(kEnds, text("one")), udp_frame(kEnds, zeros(9000)),
                                      zeros(0)};
  Result<CaptureWriter> writer = CaptureWriter::create(path("a.pcap"), packet::LinkType::ethernet);
  ASSERT_TRUE(writer);
  for (size_t i = 0; i < frames.size(); ++i) {
    ASSERT_TRUE(writer->write(frames[i], 1'700'000'000'123'456'789 + i));
  }
  ASSERT_TRUE(writer->close());
  const Read read = read_all(path("a.pcap"));
  EXPECT_EQ(read.error, "");
  EXPECT_EQ(read.frames, frames);
  EXPECT_EQ(read.times_ns,
            (std::vector<uint64_t>{1'700'000'000'123'456'789, 1'700'000'000'123'456'790,
                                   1'700'000'000'123'456'791}));
}

TEST_F(CaptureFile, KeepsTheLinkType) {
  using packet::LinkType;
  for (const LinkType link : {LinkType::ethernet, LinkType::raw_ip, LinkType::linux_sll,
                              LinkType::linux_sll2, LinkType::null_loopback}) {
    Result<CaptureWriter> writer = CaptureWriter::create(path("l.pcap"), link);
    ASSERT_TRUE(writer);
    ASSERT_TRUE(writer->write(zeros(60), 1));
    ASSERT_TRUE(writer->close());
    Result<CaptureReader> reader = CaptureReader::open(path("l.pcap"));
    ASSERT_TRUE(reader);
    CapturedFrame frame;
    ASSERT_TRUE(*reader->next(frame));
    EXPECT_EQ(frame.link, link);
  }
}

TEST_F(CaptureFile, ReadsPcapng) {
  const Octets frame = udp_frame(kEnds, text("pcapng"));
  const Read read = read_all(with_octets(
      "b.pcapng", join({pcapng_section(), pcapng_interface(1), pcapng_packet(1'000'001, frame)})));
  EXPECT_EQ(read.error, "");
  EXPECT_EQ(read.frames, std::vector<Octets>{frame});
  EXPECT_EQ(read.times_ns, std::vector<uint64_t>{1'000'001'000});
}

TEST_F(CaptureFile, CutAnywhereGivesWhatIsWholeAndAnError) {
  const Octets frame = udp_frame(kEnds, text("cut me"));
  Result<CaptureWriter> writer = CaptureWriter::create(path("c.pcap"), packet::LinkType::ethernet);
  ASSERT_TRUE(writer);
  for (uint64_t i = 0; i < 3; ++i) ASSERT_TRUE(writer->write(frame, i));
  ASSERT_TRUE(writer->close());

  struct Format {
    const char* name;
    Octets whole;
    size_t first_frame_at;
    size_t octets_a_frame;
  };
  const Octets packet = pcapng_packet(1, frame);
  const Octets ng_head = join({pcapng_section(), pcapng_interface(1)});
  const Format formats[] = {
      {"pcap", octets_of(path("c.pcap")), 24, 16 + frame.size()},
      {"pcapng", join({ng_head, packet, packet, packet}), ng_head.size(), packet.size()}};
  for (const Format& f : formats) {
    SCOPED_TRACE(f.name);
    for (size_t length = 0; length < f.whole.size(); ++length) {
      const auto end = f.whole.begin() + static_cast<ptrdiff_t>(length);
      const Read read = read_all(with_octets("cut", Octets(f.whole.begin(), end)));
      const bool between_frames =
          length >= f.first_frame_at && (length - f.first_frame_at) % f.octets_a_frame == 0;
      const size_t whole_frames =
          length < f.first_frame_at ? 0 : (length - f.first_frame_at) / f.octets_a_frame;
      EXPECT_EQ(read.frames.size(), whole_frames) << "cut to " << length;
      EXPECT_EQ(read.error.empty(), between_frames) << "cut to " << length << ": " << read.error;
      if (!between_frames) {
        EXPECT_THAT(read.error, HasSubstr(path("cut"))) << "cut to " << length;
      }
    }
  }
}

TEST_F(CaptureFile, SaysAfterHowManyPacketsItBroke) {
  const Octets packet = pcapng_packet(1, udp_frame(kEnds, text("x")));
  const Read read = read_all(with_octets(
      "bad", join({pcapng_section(), pcapng_interface(1), packet, little(6, 4), little(7, 4)})));
  EXPECT_EQ(read.frames.size(), 1u);
  EXPECT_THAT(read.error, HasSubstr("after 1 packets"));
}

TEST_F(CaptureFile, RefusesAFrameOfAbsurdLength) {
  const Octets pcap_header = join({little(0xa1b2c3d4, 4), little(2, 2), little(4, 2), zeros(8),
                                   little(65535, 4), little(1, 4)});
  const Octets record = join({zeros(8), little(0xffffffff, 4), little(0xffffffff, 4), zeros(64)});
  const Read read = read_all(with_octets("huge", join({pcap_header, record})));
  EXPECT_TRUE(read.frames.empty());
  EXPECT_THAT(read.error, HasSubstr("after 0 packets"));
}

TEST_F(CaptureFile, NamesWhatItCannotRead) {
  EXPECT_THAT(read_all(path("absent")).error, HasSubstr("No such file"));
  EXPECT_THAT(read_all(with_octets("text", text("this is no capture at all, is it"))).error,
              HasSubstr("unknown file format"));
  EXPECT_NE(read_all(folder_).error, "");
  const Read usb = read_all(with_octets("usb", join({pcapng_section(), pcapng_interface(189)})));
  EXPECT_THAT(usb.error, HasSubstr("USB_LINUX cannot be read"));
}

TEST_F(CaptureFile, IsTheSameInMemory) {
  Result<CaptureWriter> memory = CaptureWriter::in_memory(packet::LinkType::raw_ip);
  Result<CaptureWriter> file = CaptureWriter::create(path("file"), packet::LinkType::raw_ip);
  ASSERT_TRUE(memory && file);
  for (const uint32_t missing : {0u, 100u}) {
    const Octets frame = zeros(40);
    ASSERT_TRUE(memory->write(frame, 1'700'000'000'123'456'789, 40 + missing));
    ASSERT_TRUE(file->write(frame, 1'700'000'000'123'456'789, 40 + missing));
  }
  ASSERT_TRUE(file->close());
  const Result<std::string> octets = memory->take();
  ASSERT_TRUE(octets);
  EXPECT_EQ(Octets(octets->begin(), octets->end()), octets_of(path("file")));
  Result<CaptureReader> reader = CaptureReader::open(path("file"));
  ASSERT_TRUE(reader);
  CapturedFrame read;
  ASSERT_TRUE(*reader->next(read));
  EXPECT_FALSE(read.is_cut);
  ASSERT_TRUE(*reader->next(read));
  EXPECT_TRUE(read.is_cut);
  EXPECT_EQ(read.octets.size(), 40u);
}

TEST_F(CaptureFile, SaysWhenItCannotBeWritten) {
  const Result<CaptureWriter> nowhere =
      CaptureWriter::create(path("no/such/folder.pcap"), packet::LinkType::ethernet);
  ASSERT_FALSE(nowhere);
  EXPECT_THAT(nowhere.error().message, HasSubstr("No such file"));

  if (access("/dev/full", W_OK) != 0) GTEST_SKIP() << "no /dev/full here";
  Result<CaptureWriter> full = CaptureWriter::create("/dev/full", packet::LinkType::ethernet);
  ASSERT_TRUE(full);
  (void)full->write(zeros(100), 0);  // it may still fit into the buffer
  const Result<void> closed = full->close();
  ASSERT_FALSE(closed);
  EXPECT_THAT(closed.error().message, HasSubstr("No space left"));
}

}  // namespace
}  // namespace weir::lab
