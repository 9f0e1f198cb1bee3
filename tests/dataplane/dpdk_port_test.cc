// DPDK without privileges: net_pcap, net_null, net_ring. Each test runs in a child process.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>

#include <fstream>
#include <utility>

#include "dataplane/port_plan.h"
#include "dataplane/ring_device.h"
#include "support.h"

namespace weir::dataplane::testing {
namespace {

using packet::FrameVerdict;
using packet::LinkType;
using ::testing::AllOf;
using ::testing::HasSubstr;

DataPlaneConfig config_of(std::vector<DpdkPort> ports) {
  DataPlaneConfig config;
  config.eal.memory_mb = 64;
  config.eal.log = [](EalLogLevel, std::string_view) {};
  config.dpdk_ports = std::move(ports);
  config.pipeline = netflow_pipeline();
  return config;
}

std::unique_ptr<DataPlane> created(const DataPlaneConfig& config) {
  const RoleScope role(control_thread);
  Result<std::unique_ptr<DataPlane>> plane = DataPlane::create(config);
  EXPECT_TRUE(plane) << plane.error().message;
  return plane ? std::move(*plane) : nullptr;
}

std::string refusal(const DataPlaneConfig& config) {
  const RoleScope role(control_thread);
  const Result<std::unique_ptr<DataPlane>> plane = DataPlane::create(config);
  return plane ? "" : plane.error().message;
}

void start(DataPlane& plane) {
  const RoleScope role(control_thread);
  const Result<void> started = plane.start();
  ASSERT_TRUE(started) << started.error().message;
}

PortStats stats(DataPlane& plane, size_t port = 0) {
  const RoleScope role(control_thread);
  return plane.port_stats().at(port);
}

/// Replays to the end and stops.
Collected replay(DataPlane& plane) {
  Collected collected;
  start(plane);
  EXPECT_TRUE(run_until(plane, collected, [&] { return plane.at_end(); }));
  stop(plane, collected);
  return collected;
}

std::vector<lab::Octets> v5_frames(size_t count, size_t records) {
  std::vector<lab::Octets> frames;
  for (size_t i = 0; i < count; ++i)
    frames.push_back(v5_frame(records, static_cast<uint32_t>(i * records)));
  return frames;
}

TEST(PcapPort, ReplaysAFileToItsEndAndAccountsForEveryFrame) {
  in_child([] {
    TemporaryFolder folder;
    const std::string file = folder.file("v5.pcap");
    std::vector<lab::Octets> frames = v5_frames(1000, 30);
    frames.push_back(lab::ethernet(lab::kEtherTypeArp, lab::zeros(46)));
    frames.push_back(v5_frame(1, 0, 9999));
    write_capture(file, frames);

    auto plane = created(config_of({{.name = "p0", .device = "net_pcap0,rx_pcap=" + file}}));
    ASSERT_NE(plane, nullptr);
    ASSERT_EQ(plane->cores().size(), 1u);
    EXPECT_EQ(plane->cores()[0].serves, "p0 queue 0");
    EXPECT_FALSE(plane->at_end());
    const Collected collected = replay(*plane);

    EXPECT_EQ(collected.records, 30'000u);
    EXPECT_EQ(collected.first_received_ns, kCaptureTimeNs + kNsPerMs)
        << "the capture's time, not ours";
    const PipelineCounters& counters = plane->pipeline(0).counters();
    EXPECT_EQ(counters.frames.value(), 1002u);
    EXPECT_EQ(counters.verdicts[FrameVerdict::not_ip].value(), 1u);
    EXPECT_EQ(counters.no_listener.value(), 1u);
    EXPECT_EQ(counters.datagrams.value(), 1000u);
    expect_ledger(*plane);

    const PortStats port = stats(*plane);
    EXPECT_EQ(port.name, "p0");
    EXPECT_EQ(port.kind, "dpdk");
    EXPECT_EQ(port.driver, "net_pcap");
    EXPECT_TRUE(port.at_end);
    EXPECT_EQ(port.packets, 1002u);
    EXPECT_EQ(port.octets, counters.frame_octets.value());
    EXPECT_EQ(port.missed, 0u);
    EXPECT_EQ(port.errors, 0u);
    EXPECT_EQ(port.no_mbuf, 0u);
  });
}

TEST(PcapPort, ServesAFileAQueueAndTwoCoresHaveTheSumOfThem) {
  in_child([] {
    TemporaryFolder folder;
    const std::string first = folder.file("a.pcap"), second = folder.file("b.pcap");
    write_capture(first, v5_frames(700, 30));
    write_capture(second, v5_frames(300, 10));
    auto plane =
        created(config_of({{.name = "p0",
                            .device = fmt::format("net_pcap0,rx_pcap={},rx_pcap={}", first, second),
                            .queues = 2}}));
    ASSERT_NE(plane, nullptr);
    ASSERT_EQ(plane->cores().size(), 2u);
    const Collected collected = replay(*plane);
    EXPECT_EQ(plane->pipeline(0).counters().frames.value(), 700u);
    EXPECT_EQ(plane->pipeline(1).counters().frames.value(), 300u);
    EXPECT_EQ(collected.records, 24'000u);
    EXPECT_EQ(stats(*plane).packets, 1000u);
    expect_ledger(*plane);
  });
}

TEST(PcapPort, ReadsAllFilesOnOneCoreWhenOneQueueIsAskedFor) {
  in_child([] {
    TemporaryFolder folder;
    const std::string first = folder.file("a.pcap"), second = folder.file("b.pcap");
    write_capture(first, v5_frames(70, 1));
    write_capture(second, v5_frames(30, 1));
    auto plane = created(config_of(
        {{.name = "p0", .device = fmt::format("net_pcap0,rx_pcap={},rx_pcap={}", first, second)}}));
    ASSERT_NE(plane, nullptr);
    ASSERT_EQ(plane->cores().size(), 1u);
    EXPECT_EQ(plane->cores()[0].serves, "p0 queue 0, p0 queue 1");
    EXPECT_EQ(replay(*plane).records, 100u);
  });
}

TEST(PcapPort, TakesSeveralPorts) {
  in_child([] {
    TemporaryFolder folder;
    const std::string first = folder.file("a.pcap"), second = folder.file("b.pcap");
    write_capture(first, v5_frames(70, 1));
    write_capture(second, v5_frames(30, 1));
    auto plane = created(config_of({{.name = "p0", .device = "net_pcap0,rx_pcap=" + first},
                                    {.name = "p1", .device = "net_pcap1,rx_pcap=" + second}}));
    ASSERT_NE(plane, nullptr);
    EXPECT_EQ(replay(*plane).records, 100u);
    EXPECT_EQ(stats(*plane, 0).packets, 70u);
    EXPECT_EQ(stats(*plane, 1).packets, 30u);
  });
}

// Longer than an mbuf's room: a chain of segments, which is put together and not cut.
TEST(PcapPort, DecodesJumboFramesThatComeInSegments) {
  in_child([] {
    TemporaryFolder folder;
    const std::string file = folder.file("jumbo.pcap");
    // Template and data of one v9 datagram of about 60,000 octets: it decodes only if all is there.
    lab::NetflowV9Builder builder;
    builder.unix_secs(1'700'000'000)
        .templates({{.id = 256, .fields = {{8, 4}, {12, 4}, {1, 4}}}})
        .data(256, std::vector<lab::Record>(
                       4990, {lab::ipv4("192.0.2.1"), lab::ipv4("198.51.100.2"), lab::u32(1500)}));
    const lab::Octets datagram = builder.build();
    ASSERT_GT(datagram.size(), 59'000u);
    const lab::UdpEnds ends{
        .src = "192.0.2.1", .dst = "192.0.2.2", .src_port = 9, .dst_port = kNetflowPort};
    write_capture(file,
                  {lab::udp_frame(ends, datagram), v5_frame(30), lab::udp_frame(ends, datagram)});
    auto plane = created(config_of({{.name = "p0", .device = "net_pcap0,rx_pcap=" + file}}));
    ASSERT_NE(plane, nullptr);
    EXPECT_EQ(replay(*plane).records, 2u * 4990 + 30);
    EXPECT_EQ(plane->pipeline(0).counters().verdicts[FrameVerdict::udp].value(), 3u);
    expect_ledger(*plane);
  });
}

TEST(PcapPort, SurvivesPacketsBeyondWhatAnyLinkCarries) {
  in_child([] {
    TemporaryFolder folder;
    const std::string file = folder.file("huge.pcap");
    // The driver says their length in 32 bits and copies it in 16.
    write_capture(file, {v5_frame(1), lab::zeros(70'000), lab::filled(262'144, 0x45), v5_frame(2)});
    auto plane = created(config_of({{.name = "p0", .device = "net_pcap0,rx_pcap=" + file}}));
    ASSERT_NE(plane, nullptr);
    EXPECT_EQ(replay(*plane).records, 3u);
    EXPECT_EQ(plane->pipeline(0).counters().frames.value(), 4u);
    expect_ledger(*plane);
  });
}

TEST(PcapPort, ReadsTheLinkTypeOfEachFile) {
  in_child([] {
    TemporaryFolder folder;
    const std::string raw = folder.file("raw.pcap"), cooked = folder.file("sll.pcap");
    const lab::UdpEnds ends{
        .src = "192.0.2.1", .dst = "192.0.2.2", .src_port = 9, .dst_port = kNetflowPort};
    const lab::Octets packet = lab::udp_packet(ends, v5_datagram(3));
    write_capture(raw, {packet}, LinkType::raw_ip);
    write_capture(cooked, {lab::linux_sll(lab::kEtherTypeIpv4, packet)}, LinkType::linux_sll);
    auto plane = created(config_of(
        {{.name = "p0", .device = fmt::format("net_pcap0,rx_pcap={},rx_pcap={}", raw, cooked)}}));
    ASSERT_NE(plane, nullptr);
    EXPECT_EQ(replay(*plane).records, 6u);
  });
}

TEST(PcapPort, EndsAtOnceWithAnEmptyFile) {
  in_child([] {
    TemporaryFolder folder;
    const std::string file = folder.file("empty.pcap");
    write_capture(file, {});
    auto plane = created(config_of({{.name = "p0", .device = "net_pcap0,rx_pcap=" + file}}));
    ASSERT_NE(plane, nullptr);
    EXPECT_EQ(replay(*plane).records, 0u);
  });
}

TEST(PcapPort, CountsARecordThatTheFileCutsShort) {
  in_child([] {
    TemporaryFolder folder;
    const std::string file = folder.file("cut.pcap");
    write_capture(file, v5_frames(10, 1));
    std::ifstream whole(file, std::ios::binary);
    std::string octets((std::istreambuf_iterator<char>(whole)), {});
    std::ofstream(file, std::ios::binary)
        .write(octets.data(), static_cast<std::streamsize>(octets.size() - 20));
    auto plane = created(config_of({{.name = "p0", .device = "net_pcap0,rx_pcap=" + file}}));
    ASSERT_NE(plane, nullptr);
    EXPECT_EQ(replay(*plane).records, 9u);
    EXPECT_GE(stats(*plane).errors.value_or(0), 1u);
  });
}

// Frames that the pool cannot hold are lost; that must not look like the end of the file.
TEST(PcapPort, GoesOnBehindAFrameThatItHasNoMemoryFor) {
  in_child([] {
    TemporaryFolder folder;
    const std::string file = folder.file("large.pcap");
    std::vector<lab::Octets> frames = v5_frames(3, 1);
    frames.insert(frames.begin() + 1, lab::zeros(60'000));
    frames.insert(frames.begin() + 2, lab::zeros(60'000));
    write_capture(file, frames);
    auto plane = created(config_of({{.name = "p0",
                                     .device = "net_pcap0,rx_pcap=" + file,
                                     .mbufs = 63,  // of 128 octets: 8 KiB
                                     .data_room_octets = 256}}));
    ASSERT_NE(plane, nullptr);
    EXPECT_EQ(replay(*plane).records, 3u);
    EXPECT_EQ(stats(*plane).errors, 2u);
  });
}

TEST(PcapPort, ReplaysForEverUntilStopped) {
  in_child([] {
    TemporaryFolder folder;
    const std::string file = folder.file("loop.pcap");
    write_capture(file, v5_frames(100, 30));
    auto plane = created(
        config_of({{.name = "p0", .device = "net_pcap0,rx_pcap=" + file + ",infinite_rx=1"}}));
    ASSERT_NE(plane, nullptr);
    start(*plane);
    Collected collected;
    EXPECT_TRUE(run_until(*plane, collected, [&] { return frames(*plane) > 10'000; }));
    EXPECT_FALSE(plane->at_end());
    EXPECT_EQ(stats(*plane).at_end, false);
    stop(*plane, collected);
    EXPECT_EQ(stats(*plane).packets, frames(*plane));
    EXPECT_GT(collected.first_received_ns, kCaptureTimeNs + 1'000 * kNsPerSec) << "our clock";
    expect_ledger(*plane);
  });
}

TEST(NullPort, IsEndlessAndHoldsNoDatagrams) {
  in_child([] {
    auto plane = created(config_of({{.name = "p0", .device = "net_null0", .queues = 2}}));
    ASSERT_NE(plane, nullptr);
    start(*plane);
    Collected collected;
    EXPECT_TRUE(run_until(*plane, collected, [&] { return frames(*plane) > 100'000; }));
    stop(*plane, collected);
    const uint64_t not_ip = sum(
        *plane, [](Pipeline& p) { return p.counters().verdicts[FrameVerdict::not_ip].value(); });
    EXPECT_EQ(frames(*plane), not_ip);
    EXPECT_EQ(stats(*plane).packets, frames(*plane));
  });
}

TEST(RingPort, WaitsQuietlyForNothing) {
  in_child([] {
    auto plane = created(config_of({{.name = "p0", .device = "net_ring0"}}));
    ASSERT_NE(plane, nullptr);
    start(*plane);
    Collected collected;
    EXPECT_TRUE(run_until(*plane, collected,
                          [&] { return plane->pipeline(0).counters().sleeps.value() > 3; }));
    const PortStats port = stats(*plane);
    EXPECT_FALSE(port.missed.has_value()) << "the driver does not count it, so nor do we";
    EXPECT_THAT(port.note, HasSubstr("does not count"));
    stop(*plane, collected);
    EXPECT_EQ(frames(*plane), 0u);
  });
}

TEST(RingPort, HoldsAsManyFramesAsItHasDescriptors) {
  const std::pair<uint16_t, uint32_t> cases[] = {{64, 63}, {3000, 4095}, {4096, 4095}};  // the driver's own rings: 1023
  for (const auto& [descriptors, frames] : cases) {
    in_child([descriptors = descriptors, frames = frames] {
      DataPlaneConfig config = config_of({{.name = "p0", .device = "net_ring0", .queues = 2, .rx_descriptors = descriptors}});
      config.eal.memory_mb = 128;
      auto plane = created(config);
      ASSERT_NE(plane, nullptr);
      const auto ring_of = [](uint16_t queue) { return RingDevice::room(DeviceSpec::parse("net_ring0"), queue); };
      EXPECT_EQ(ring_of(0), frames);
      EXPECT_EQ(ring_of(1), frames);
      EXPECT_EQ(ring_of(2), 0u) << "there are two queues";
      start(*plane);
      Collected collected;
      stop(*plane, collected);
    });
  }
}

TEST(BondedPort, ReceivesFromADeviceThatExtraArgumentsMakeAndDoesNotSayThatItDroppedNothing) {
  in_child([] {
    DataPlaneConfig config = config_of({{.name = "p0", .device = "net_bonding0,mode=1,slave=net_null0"}});
    config.eal.extra_args = {"--vdev=net_null0"};
    auto plane = created(config);
    ASSERT_NE(plane, nullptr);
    start(*plane);
    Collected collected;
    EXPECT_TRUE(run_until(*plane, collected, [&] { return frames(*plane) > 10'000; }));
    EXPECT_FALSE(stats(*plane).missed.has_value());
    EXPECT_THAT(stats(*plane).note, HasSubstr("does not count"));
    stop(*plane, collected);
  });
}

TEST(DpdkPort, IsRefusedWithAReasonThatNamesIt) {
  TemporaryFolder folder;
  const std::string empty = folder.file("empty.pcap"), text = folder.file("notes.txt");
  write_capture(empty, {});
  std::ofstream(text) << "this is not a capture, but it is longer than a header";
  struct Case {
    std::string device;
    uint16_t queues;
    std::vector<unsigned> lcores;
    std::vector<std::string> said;
  };
  const std::vector<Case> cases = {
      {"net_nonsense0", 1, {}, {"port edge: net_nonsense0: no such driver"}},
      {"0000:ff:1f.7", 1, {}, {"port edge: 0000:ff:1f.7: no such device"}},
      {"net_pcap0,rx_pcap=/nowhere/at.pcap", 1, {}, {"port edge: /nowhere/at.pcap: No such file"}},
      {"net_pcap0,rx_pcap=" + text, 1, {}, {"port edge:", "not a pcap or pcapng file"}},
      {"net_pcap0,rx_pcap=" + empty + ",infinite_rx=1", 1, {}, {"port edge:", "no packets"}},
      {"net_pcap0,rx_pcap=" + empty, 2, {}, {"port edge: net_pcap0: 2 queues asked, it has 1"}},
      {"net_pcap0,rx_pcup=x", 1, {}, {"port edge: net_pcap0:"}},
      {"net_af_packet0,iface=weir-no-such",
       1,
       {},
       {"port edge: net_af_packet0: no interface weir-no-such"}},
      {"net_null0", 0, {}, {"port edge: 0 queues"}},
      {"net_null0", 1, {0, 0}, {"port edge: 2 lcores for 1 queue"}},
      {"net_null0", 1, {1000}, {"port edge: CPU 1000 cannot be used"}},
      {"", 1, {}, {"port edge: no device"}},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.device);
    in_child([&] {
      const std::string message = refusal(config_of(
          {{.name = "edge", .device = c.device, .queues = c.queues, .lcores = c.lcores}}));
      for (const std::string& said : c.said) EXPECT_THAT(message, HasSubstr(said));
    });
  }
}

TEST(Eal, StartsOnceInAProcess) {
  in_child([] {
    const DataPlaneConfig config = config_of({{.name = "p0", .device = "net_null0"}});
    ASSERT_NE(created(config), nullptr);
    EXPECT_THAT(refusal(config), HasSubstr("only once"));
  });
}

TEST(Eal, RefusesMemoryThatIsNotThereOrTooSmall) {
  in_child([] {
    DataPlaneConfig config = config_of({{.name = "p0", .device = "net_null0"}});
    config.eal.memory_mb = 1 << 30;
    EXPECT_THAT(refusal(config), HasSubstr("MiB available"));
    config.eal.memory_mb = 16;
    config.dpdk_ports[0].mbufs = 65'535;
    EXPECT_THAT(refusal(config), HasSubstr("the ports' mbufs take about"));
    EXPECT_THAT(refusal(config_of({})), HasSubstr("no ports"));
  });
}

TEST(Eal, GivesItsLogToTheHookAndTheControlThreadItsCpusBack) {
  in_child([] {
    cpu_set_t before, after;
    ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
    size_t lines = 0;
    bool has_newline = false;
    DataPlaneConfig config = config_of({{.name = "p0", .device = "net_null0"}});
    config.eal.log = [&](EalLogLevel, std::string_view line) {
      ++lines;
      has_newline |= line.find('\n') != std::string_view::npos;
    };
    auto plane = created(config);
    ASSERT_NE(plane, nullptr);
    EXPECT_GT(lines, 0u);
    EXPECT_FALSE(has_newline);
    ASSERT_EQ(sched_getaffinity(0, sizeof after, &after), 0);
    EXPECT_TRUE(CPU_EQUAL(&before, &after));
    plane.reset();
  });
}

TEST(DataPlane, StartsAndStopsOnceHoweverOftenItIsTold) {
  in_child([] {
    const RoleScope role(control_thread);
    auto plane = created(config_of({{.name = "p0", .device = "net_null0"}}));
    ASSERT_NE(plane, nullptr);
    EXPECT_TRUE(plane->start());
    EXPECT_TRUE(plane->start());
    plane->stop();
    EXPECT_TRUE(plane->has_ended());
    plane->stop();
    const Result<void> again = plane->start();
    ASSERT_FALSE(again);
    EXPECT_THAT(again.error().message, HasSubstr("was stopped"));
  });
  in_child([] {
    auto never_started = created(config_of({{.name = "p0", .device = "net_null0"}}));
    ASSERT_NE(never_started, nullptr);
  });
  in_child([] {
    auto started = created(config_of({{.name = "p0", .device = "net_null0"}}));
    ASSERT_NE(started, nullptr);
    start(*started);  // destroyed while it runs
  });
}

}  // namespace
}  // namespace weir::dataplane::testing
