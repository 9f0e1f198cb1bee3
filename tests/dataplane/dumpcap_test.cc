// DPDK's own tools: that for captures gets copies of what a port receives, from another process (which needs root, hugepages and
// dpdk-dumpcap, Debian's dpdk-dev), and telemetry answers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
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

/// A connection as dpdk-telemetry.py has it: a question is a packet, and so is the answer.
class TelemetryClient {
 public:
  explicit TelemetryClient(const std::string& path) {
    sockaddr_un to{};
    to.sun_family = AF_UNIX;
    std::strncpy(to.sun_path, path.c_str(), sizeof to.sun_path - 1);
    const timeval patience{.tv_sec = 10, .tv_usec = 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    EXPECT_EQ(connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to), 0) << path;
    EXPECT_THAT(receive(), ::testing::HasSubstr("DPDK"));  // it says who it is
  }
  ~TelemetryClient() { close(fd_); }
  std::string ask(const std::string& what) const {
    return send(fd_, what.data(), what.size(), 0) > 0 ? receive() : std::string();
  }

 private:
  std::string receive() const {
    std::string answer(16'384, 0);
    answer.resize(static_cast<size_t>(std::max<ssize_t>(recv(fd_, answer.data(), answer.size(), 0), 0)));
    return answer;
  }
  const int fd_ = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
};

TEST(Telemetry, TellsOfThePortsWhereThereIsAFilePrefix) {
  in_child([] {
    std::string folder = "/tmp/weir_test_XXXXXX";
    ASSERT_NE(mkdtemp(folder.data()), nullptr);
    ASSERT_EQ(setenv("RUNTIME_DIRECTORY", folder.c_str(), 1), 0);
    DataPlaneConfig config;
    config.eal.memory_mb = 128;
    config.eal.file_prefix = "weir";
    config.eal.log = [](EalLogLevel, std::string_view) {};
    config.dpdk_ports.push_back({.name = "p", .device = "net_null0"});
    config.pipeline = netflow_pipeline();
    {
      const RoleScope role(control_thread);
      Result<std::unique_ptr<DataPlane>> made = DataPlane::create(config);
      ASSERT_TRUE(made) << made.error().message;
      const Result<void> started = (*made)->start();
      ASSERT_TRUE(started) << started.error().message;
      const TelemetryClient client(folder + "/dpdk/weir/dpdk_telemetry.v2");
      EXPECT_THAT(client.ask("/ethdev/list"), ::testing::HasSubstr("[0]"));
      EXPECT_THAT(client.ask("/ethdev/info,0"), ::testing::HasSubstr("net_null0"));
      Collected collected;
      stop(**made, collected);
    }
    std::error_code none;
    std::filesystem::remove_all(folder, none);
  });
}

}  // namespace
}  // namespace weir::dataplane::testing
