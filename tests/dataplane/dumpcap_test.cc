// DPDK's own tool for captures gets copies of what a port receives, from another process. Needs root, hugepages and dpdk-dumpcap (Debian's dpdk-dev).
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "dataplane/plane_check.h"
#include "support.h"

namespace weir::dataplane::testing {
namespace {

constexpr uint32_t kMemoryMb = 128;

TEST(Dumpcap, GetsCopiesOfWhatIsReceived) {
  if (std::system("command -v dpdk-dumpcap >/dev/null 2>&1") != 0) GTEST_SKIP() << "needs dpdk-dumpcap (dpdk-dev)";
  const Machine machine = Machine::look();
  if (geteuid() != 0 || !machine.has_hugetlbfs || machine.hugepage_free_octets < uint64_t{kMemoryMb} << 20)
    GTEST_SKIP() << "needs root, a hugetlbfs and " << kMemoryMb << " MiB of free hugepages";
  in_child([] {
    const std::string prefix = "weir_test_" + std::to_string(getpid());
    const std::filesystem::path file = std::filesystem::temp_directory_path() / (prefix + ".pcapng");
    DataPlaneConfig config;
    config.eal.hugepages = true;
    config.eal.memory_mb = kMemoryMb;
    config.eal.file_prefix = prefix;
    config.eal.log = [](EalLogLevel, std::string_view) {};
    config.dpdk_ports.push_back({.name = "p", .device = "net_null0"});
    config.pipeline = netflow_pipeline();
    {
      std::unique_ptr<DataPlane> plane;
      {
        const RoleScope role(control_thread);
        Result<std::unique_ptr<DataPlane>> made = DataPlane::create(config);
        ASSERT_TRUE(made) << made.error().message;
        plane = std::move(*made);
        const Result<void> started = plane->start();
        ASSERT_TRUE(started) << started.error().message;
      }
      std::atomic<int> status{-1};
      std::thread tool([&] {
        const std::string command = "timeout 30 dpdk-dumpcap --file-prefix=" + prefix + " -p -i net_null0 -c 20 -w " + file.string();
        status = std::system((command + " >/dev/null 2>&1").c_str());
      });
      Collected collected;
      EXPECT_TRUE(run_until(*plane, collected, [&] { return status != -1; }));
      tool.join();
      EXPECT_EQ(status, 0);
      std::error_code none;
      EXPECT_GT(std::filesystem::file_size(file, none), 20u * 64u) << "frames of net_null have 64 octets";
      stop(*plane, collected);
    }
    std::error_code none;
    std::filesystem::remove(file, none);
    std::filesystem::remove_all("/run/dpdk/" + prefix, none);
  });
}

}  // namespace
}  // namespace weir::dataplane::testing
