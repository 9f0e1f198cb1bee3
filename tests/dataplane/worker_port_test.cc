// Ports whose one queue feeds several cores. Each test runs in a child process.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "dataplane/port_plan.h"
#include "stalled_thread.h"
#include "support.h"
#include "two_hosts.h"

namespace weir::dataplane::testing {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Gt;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

DataPlaneConfig config_of(const std::string& device, uint16_t workers) {
  DataPlaneConfig config;
  config.eal.memory_mb = 256;
  config.eal.log = [](EalLogLevel, std::string_view) {};
  config.dpdk_ports.push_back({.name = "p0", .device = device, .workers = workers});
  config.pipeline = netflow_pipeline();
  config.pipeline.batcher.buffers = 256;
  return config;
}

void expect_books(DataPlane& plane) {
  Ledger total;
  for (size_t i = 0; i < plane.cores().size(); ++i) {
    const Ledger ledger = plane.pipeline(i).ledger();
    EXPECT_THAT(ledger.discrepancies(), IsEmpty()) << "core " << i;
    total += ledger;
  }
  EXPECT_THAT(total.discrepancies(), IsEmpty());
  EXPECT_THAT(total.handover_discrepancies(), IsEmpty());
}

Ledger total_of(DataPlane& plane) {
  Ledger total;
  for (size_t i = 0; i < plane.cores().size(); ++i) total += plane.pipeline(i).ledger();
  return total;
}

std::string exporter(size_t i) { return fmt::format("192.0.2.{}", 1 + i % 40); }

/// Of 40 exporters in turn, among them datagrams in fragments (identified from `first_id` on) and what is no export
/// traffic.
std::vector<lab::Octets> mixed_frames(size_t datagrams, size_t first_id = 0) {
  std::vector<lab::Octets> frames;
  for (size_t i = 0; i < datagrams; ++i) {
    if (i % 10 != 0) {
      frames.push_back(v5_frame(30, static_cast<uint32_t>(i / 40 * 30), kNetflowPort, exporter(i)));
      continue;
    }
    const std::string source = exporter(i);
    const lab::UdpEnds ends{
        .src = source.c_str(), .dst = "192.0.2.200", .src_port = 40'000, .dst_port = kNetflowPort};
    const auto segment = lab::udp_segment(ends, v5_datagram(30, static_cast<uint32_t>(i / 40 * 30)));
    for (const lab::Octets& packet : lab::fragment_packets(ends, static_cast<uint32_t>(first_id + i), segment, 496))
      frames.push_back(lab::ethernet(lab::kEtherTypeIpv4, packet));
    frames.push_back(lab::ethernet(lab::kEtherTypeArp, lab::zeros(46)));
  }
  return frames;
}

/// Which cores know each exporter.
std::map<IpAddress, std::vector<size_t>> cores_by_exporter(DataPlane& plane) {
  std::map<IpAddress, std::vector<size_t>> found;
  for (size_t core = 0; core < plane.cores().size(); ++core) {
    ExporterQuery query;
    query.rows.resize(64);
    const RoleScope role(control_thread);
    EXPECT_TRUE(plane.pipeline(core).ask_exporters(query));
    const RoleScope ended(rx_lcore);  // its thread is no more
    plane.pipeline(core).finish();
    ExporterQuery* answer = nullptr;
    EXPECT_TRUE(plane.pipeline(core).take_answer(answer));
    for (size_t i = 0; i < query.filled; ++i) found[query.rows[i].address].push_back(core);
  }
  return found;
}

TEST(Workers, DecodeAFileOfOneQueueAndEachExporterMeetsOneOfThem) {
  in_child([] {
    TemporaryFolder folder;
    const std::string file = folder.file("mixed.pcap");
    const size_t kDatagrams = 20'000;  // several times what lanes hold
    const std::vector<lab::Octets> frames = mixed_frames(kDatagrams);
    write_capture(file, frames);
    const RoleScope role(control_thread);
    auto plane = DataPlane::create(config_of("net_pcap0,rx_pcap=" + file, 2));
    ASSERT_TRUE(plane) << plane.error().message;
    std::vector<std::string> serves;
    for (const CoreInfo& core : (*plane)->cores()) serves.push_back(core.serves);
    EXPECT_THAT(serves, ElementsAre("p0 queue 0", "p0 worker 0", "p0 worker 1"));
    EXPECT_FALSE((*plane)->cores()[0].decodes);
    EXPECT_TRUE((*plane)->cores()[1].is_worker);
    EXPECT_FALSE((*plane)->worker_stats(0).has_value());
    ASSERT_TRUE((*plane)->start());
    Collected collected;
    EXPECT_TRUE(run_until(**plane, collected, [&] { return (*plane)->at_end(); }));
    stop(**plane, collected);

    EXPECT_EQ(collected.records, 30 * kDatagrams) << "a file waits for workers that are behind";
    const Ledger total = total_of(**plane);
    EXPECT_EQ(total.frames, frames.size());
    EXPECT_EQ(total.worker_full.total(), 0u);
    EXPECT_EQ(total.taken[HandedKind::fragment], kDatagrams / 10 * 3);
    EXPECT_EQ(total.sequence_lost, 0u) << "in order";
    EXPECT_EQ((*plane)->pipeline(0).counters().datagrams.value(), 0u);
    for (const size_t worker : {1, 2}) {
      EXPECT_GT((*plane)->pipeline(worker).counters().datagrams.value(), kDatagrams / 5);
      EXPECT_GT((*plane)->pipeline(worker).ledger().reassembled[packet::FrameVerdict::udp], 0u);
      const WorkerStats stats = *(*plane)->worker_stats(worker);
      EXPECT_EQ(stats.handed, (*plane)->pipeline(worker).ledger().taken.total());
      EXPECT_EQ(stats.waiting, 0u);
      EXPECT_EQ(stats.capacity, kLaneFrames);
    }
    const auto cores = cores_by_exporter(**plane);
    EXPECT_EQ(cores.size(), 40u);
    for (const auto& [address, met] : cores) EXPECT_EQ(met.size(), 1u) << address.to_string();
    expect_books(**plane);
  });
}

/// Who stops at the end of a file would lose what still waits for a worker, which waits for buffers.
TEST(Workers, AreNotAtTheEndOfAFileWhileTheyHaveSomeOfIt) {
  in_child([] {
    TemporaryFolder folder;
    const std::string file = folder.file("all.pcap");
    constexpr size_t kDatagrams = 1500;  // less than a lane holds
    std::vector<lab::Octets> frames;
    for (size_t i = 0; i < kDatagrams; ++i)
      frames.push_back(v5_frame(30, static_cast<uint32_t>(i / 40 * 30), kNetflowPort, exporter(i)));
    write_capture(file, frames);
    DataPlaneConfig config = config_of("net_pcap0,rx_pcap=" + file, 1);
    config.pipeline.batcher.buffers = 8;
    config.pipeline.batcher.buffers_in_reserve = 4;
    const RoleScope role(control_thread);
    auto plane = DataPlane::create(config);
    ASSERT_TRUE(plane) << plane.error().message;
    ASSERT_TRUE((*plane)->start());
    const uint64_t give_up_ns = steady_clock_ns() + 60 * kNsPerSec;
    while (!(*plane)->port_stats().front().at_end && steady_clock_ns() < give_up_ns) usleep(1000);
    ASSERT_TRUE((*plane)->port_stats().front().at_end);
    EXPECT_GT((*plane)->worker_stats(1)->waiting, 0u);
    EXPECT_FALSE((*plane)->at_end());
    Collected collected;
    EXPECT_TRUE(run_until(**plane, collected, [&] { return (*plane)->at_end(); }));
    stop(**plane, collected);
    EXPECT_EQ(collected.records, 30 * kDatagrams);
    expect_books(**plane);
  });
}

TEST(Workers, ServeTwoQueuesAndAnExporterOnBothMeetsOneWorker) {
  in_child([] {
    TemporaryFolder folder;
    const std::string first = folder.file("a.pcap"), second = folder.file("b.pcap");
    write_capture(first, mixed_frames(2000));
    write_capture(second, mixed_frames(2000, 10'000));
    DataPlaneConfig config = config_of(fmt::format("net_pcap0,rx_pcap={},rx_pcap={}", first, second), 2);
    config.dpdk_ports[0].queues = 2;
    const RoleScope role(control_thread);
    auto plane = DataPlane::create(config);
    ASSERT_TRUE(plane) << plane.error().message;
    ASSERT_EQ((*plane)->cores().size(), 4u);
    ASSERT_TRUE((*plane)->start());
    Collected collected;
    EXPECT_TRUE(run_until(**plane, collected, [&] { return (*plane)->at_end(); }));
    stop(**plane, collected);
    EXPECT_EQ(collected.records, 2 * 2000 * 30u);
    EXPECT_EQ((*plane)->worker_stats(2)->capacity, 2 * kLaneFrames) << "a lane from each queue's core";
    for (const auto& [address, met] : cores_by_exporter(**plane)) EXPECT_EQ(met.size(), 1u) << address.to_string();
    expect_books(**plane);
  });
}

TEST(Workers, MayBeTheReceivingCoreItselfAndAnotherPortsCore) {
  in_child([] {
    TemporaryFolder folder;
    const std::string first = folder.file("a.pcap"), second = folder.file("b.pcap");
    write_capture(first, mixed_frames(3000));
    write_capture(second, mixed_frames(3000, 10'000));
    DataPlaneConfig config = config_of("net_pcap0,rx_pcap=" + first, 2);
    config.dpdk_ports[0].lcores = {0};
    config.dpdk_ports[0].worker_lcores = {0, 1};
    config.dpdk_ports.push_back(
        {.name = "p1", .device = "net_pcap1,rx_pcap=" + second, .lcores = {1}, .workers = 1, .worker_lcores = {0}});
    const RoleScope role(control_thread);
    auto plane = DataPlane::create(config);
    if (!plane) GTEST_SKIP() << "needs CPUs 0 and 1: " << plane.error().message;
    ASSERT_EQ((*plane)->cores().size(), 2u);
    EXPECT_EQ((*plane)->cores()[0].serves, "p0 queue 0, p0 worker 0, p1 worker 0");
    EXPECT_EQ((*plane)->cores()[1].serves, "p1 queue 0, p0 worker 1");
    ASSERT_TRUE((*plane)->start());
    Collected collected;
    EXPECT_TRUE(run_until(**plane, collected, [&] { return (*plane)->at_end(); }));
    stop(**plane, collected);
    EXPECT_EQ(collected.records, 2 * 3000 * 30u);
    expect_books(**plane);
  });
}

TEST(Workers, StopInTheMiddleOfAnEndlessFileWithExactBooks) {
  in_child([] {
    TemporaryFolder folder;
    const std::string file = folder.file("mixed.pcap");
    write_capture(file, mixed_frames(100));
    const RoleScope role(control_thread);
    auto plane = DataPlane::create(config_of("net_pcap0,rx_pcap=" + file + ",infinite_rx=1", 2));
    ASSERT_TRUE(plane) << plane.error().message;
    ASSERT_TRUE((*plane)->start());
    Collected collected;
    EXPECT_TRUE(run_until(**plane, collected, [&] { return datagrams(**plane) > 50'000; }));
    stop(**plane, collected);
    EXPECT_EQ(total_of(**plane).worker_full.total(), 0u);
    expect_books(**plane);
    const PortStats port = (*plane)->port_stats().at(0);
    EXPECT_EQ(port.no_mbuf, 0u) << "buffers that workers hold are not missing where frames are received";
  });
}

/// Each burst handed to one that sleeps costs the receive core a system call, so it looks at its lanes for a while first.
TEST(Workers, LookAtTheirLanesForAWhileBeforeTheySleep) {
  in_child([] {
    const auto plane = started(config_of("net_ring0", 1));
    ASSERT_NE(plane, nullptr);
    const PipelineCounters& worker = plane->pipeline(1).counters();
    Collected collected;
    ASSERT_TRUE(run_until(*plane, collected, [&] { return worker.sleeps.value() != 0; }));
    const uint64_t sleeps = worker.sleeps.value();  // first: each comes after an empty look of its own
    EXPECT_GE(worker.empty_polls.value(), sleeps + 127);
    stop(*plane, collected);
  });
}

TEST(Workers, ARefusedStartLeavesNobodyWaiting) {
  in_child([] {
    TemporaryFolder folder;
    const std::string file = folder.file("v5.pcap");
    write_capture(file, mixed_frames(10));
    DataPlaneConfig config = config_of("net_pcap0,rx_pcap=" + file, 2);
    config.dpdk_ports[0].worker_lcores = {1};
    const RoleScope role(control_thread);
    const auto plane = DataPlane::create(config);
    ASSERT_FALSE(plane);
    EXPECT_THAT(plane.error().message, HasSubstr("port p0: 1 worker_lcores for 2 workers"));
  });
}

TEST(Workers, AreMadeAndNeverStarted) {
  in_child([] {
    TemporaryFolder folder;
    const std::string file = folder.file("v5.pcap");
    write_capture(file, mixed_frames(10));
    const RoleScope role(control_thread);
    auto plane = DataPlane::create(config_of("net_pcap0,rx_pcap=" + file, 2));
    ASSERT_TRUE(plane) << plane.error().message;
    (*plane)->stop();
    EXPECT_TRUE((*plane)->has_ended());
  });
}

constexpr const char* kWireDevice = "net_af_packet0,iface=port";

TEST(WorkersOnAWire, LoseNothingAtAModestRateAndTheKernelGetsItsShare) {
  SKIP_WITHOUT_ROOT();
  in_child([] {
    TwoHosts hosts;
    if (!hosts.lay()) GTEST_SKIP() << "no network namespaces";
    auto plane = started(config_of(kWireDevice, 2));
    ASSERT_NE(plane, nullptr);
    const RawSender sender(hosts);
    Collected collected;
    constexpr size_t kDatagrams = 20'000;
    for (size_t i = 0; i < kDatagrams; ++i) {
      ASSERT_TRUE(sender.send(v5_frame(10, static_cast<uint32_t>(i / 40 * 10), kNetflowPort, exporter(i))));
      if (i % 16 != 15) continue;
      ASSERT_TRUE(sender.send(lab::ethernet(lab::kEtherTypeArp, lab::zeros(46))));
      ASSERT_TRUE(run_until(*plane, collected, [&] { return datagrams(*plane) + 64 > i; }));
    }
    const auto received = [&] { return plane->pipeline(0).counters().frames.value(); };
    EXPECT_TRUE(run_until(*plane, collected, [&] {
      return datagrams(*plane) == kDatagrams && received() >= kDatagrams + kDatagrams / 16;  // the last is for the kernel
    }));
    stop(*plane, collected);
    const Ledger total = total_of(*plane);
    EXPECT_EQ(collected.records, 10 * kDatagrams);
    EXPECT_EQ(total.worker_full.total(), 0u);
    EXPECT_EQ(total.sequence_lost, 0u);
    EXPECT_GE(total.exceptions[ExceptionOutcome::no_interface], kDatagrams / 16);
    for (const size_t worker : {1, 2}) EXPECT_GT(plane->pipeline(worker).counters().datagrams.value(), kDatagrams / 5);
    expect_books(*plane);
  });
}

TEST(WorkersOnAWire, AStalledOneCostsItsOwnExportersAndWhatIsDroppedIsCounted) {
  SKIP_WITHOUT_ROOT();
  in_child([] {
    TwoHosts hosts;
    if (!hosts.lay()) GTEST_SKIP() << "no network namespaces";
    auto plane = started(config_of(kWireDevice, 2));
    ASSERT_NE(plane, nullptr);
    const std::vector<pid_t> first_worker = threads_named("rte-worker-2");  // lcore 0 is the main one, 1 receives
    ASSERT_EQ(first_worker.size(), 1u);
    StalledThread stalled(first_worker[0]);
    if (!stalled.stands()) GTEST_SKIP() << "needs ptrace";
    const RawSender sender(hosts);
    Collected collected;
    // Of one exporter each, so that sequence numbers say what was lost.
    const auto received = [&] { return plane->pipeline(0).counters().frames.value(); };
    size_t sent = 0;
    // Never more ahead of those at work than they have room for: what is dropped was the stalled one's.
    const auto is_taken = [&] {
      const bool has_room = plane->worker_stats(2)->waiting < kLaneFrames / 2;
      return received() + 64 > sent && has_room && (stalled.is_standing() || plane->worker_stats(1)->waiting < kLaneFrames / 2);
    };
    const auto send_until = [&](const std::function<bool()>& is_enough) {
      while (!is_enough()) {
        ASSERT_TRUE(sender.send(v5_frame(1, static_cast<uint32_t>(sent / 40), kNetflowPort, exporter(sent))));
        ++sent;
        ASSERT_LT(sent, 1'000'000u);
        ASSERT_TRUE(run_until(*plane, collected, is_taken));
      }
    };
    send_until([&] { return plane->worker_stats(1)->full > 1000; });
    EXPECT_EQ(plane->worker_stats(1)->waiting, kLaneFrames);
    EXPECT_EQ(plane->worker_stats(2)->full, 0u) << "the other goes on";
    EXPECT_EQ(plane->pipeline(1).counters().datagrams.value(), 0u);
    const uint64_t of_the_other = plane->pipeline(2).counters().datagrams.value();
    EXPECT_GT(of_the_other, 500u);

    stalled.resume();
    EXPECT_TRUE(run_until(*plane, collected, [&] {
      return received() >= sent && plane->worker_stats(1)->waiting == 0 && plane->worker_stats(2)->waiting == 0;
    }));
    const uint64_t full = plane->worker_stats(1)->full;
    send_until([&, enough = sent + 3000] { return sent >= enough; });
    EXPECT_TRUE(run_until(*plane, collected, [&] { return datagrams(*plane) + full >= sent; }));
    stop(*plane, collected);
    const Ledger total = total_of(*plane);
    EXPECT_EQ(total.worker_full[HandedKind::datagram], full) << "it has caught up";
    EXPECT_EQ(total.datagrams + full, sent);
    EXPECT_EQ(total.sequence_lost, full) << "each of them shows in its exporter's sequence";
    expect_books(*plane);
  });
}

TEST(Workers, ABufferThatNeverComesBackIsNoneOfTheirs) {
  const DpdkPort port{.name = "p0", .device = "net_null0", .workers = 4};
  const DeviceSpec spec = DeviceSpec::parse(port.device);
  const size_t of_workers = 4 * (kLaneFrames + 32 + pool_cache(port, spec) * 3 / 2);
  EXPECT_GE(pool_mbufs(port, spec), rx_descriptors_of(port) + 64 + of_workers);
  // However few an operator asks for, caches of workers leave the receive core what it needs.
  for (uint32_t mbufs = pool_mbufs_min(port, spec); mbufs < 3000; ++mbufs) {
    DpdkPort small = port;
    small.mbufs = mbufs;
    ASSERT_GT(mbufs, 4 * (32 + pool_cache(small, spec) * 3 / 2)) << mbufs;
  }
}

TEST(Workers, GoOnWithAPoolAsSmallAsMayBe) {
  in_child([] {
    TemporaryFolder folder;
    const std::string file = folder.file("mixed.pcap");
    write_capture(file, mixed_frames(5000));
    DataPlaneConfig config = config_of("net_pcap0,rx_pcap=" + file, 2);
    config.dpdk_ports[0].mbufs = pool_mbufs_min(config.dpdk_ports[0], DeviceSpec::parse("net_pcap0,rx_pcap=x"));
    const RoleScope role(control_thread);
    auto plane = DataPlane::create(config);
    ASSERT_TRUE(plane) << plane.error().message;
    ASSERT_TRUE((*plane)->start());
    Collected collected;
    EXPECT_TRUE(run_until(**plane, collected, [&] { return (*plane)->at_end(); }));
    stop(**plane, collected);
    const PortStats port = (*plane)->port_stats().at(0);
    EXPECT_EQ(total_of(**plane).frames + port.no_mbuf.value_or(0), mixed_frames(5000).size());
    EXPECT_GT(total_of(**plane).datagrams, 100u) << "it went on";
    expect_books(**plane);
  });
}

}  // namespace
}  // namespace weir::dataplane::testing
