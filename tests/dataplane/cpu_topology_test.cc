#include "dataplane/cpu_topology.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <fstream>

namespace weir::dataplane {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

class CpuTopologyTest : public ::testing::Test {
 protected:
  CpuTopologyTest() { std::filesystem::remove_all(root_); }
  ~CpuTopologyTest() override { std::filesystem::remove_all(root_); }
  void write(const std::string& path, const std::string& text) {
    const std::filesystem::path file = root_ / path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text << "\n";
  }

  const std::filesystem::path root_ = std::filesystem::path(::testing::TempDir()) / ("topology_" + std::to_string(getpid()));
};

TEST_F(CpuTopologyTest, IsReadFromTheKernelsFiles) {
  write("sys/devices/system/node/node0/cpulist", "0-1,4");
  write("sys/devices/system/node/node1/cpulist", "2-3,x,99999");
  write("sys/devices/system/node/possible", "0-1");
  write("sys/devices/system/cpu/online", "0-4");
  write("sys/devices/system/cpu/isolated", "3");
  write("sys/devices/system/cpu/cpu0/topology/thread_siblings_list", "0,4");
  write("sys/devices/system/cpu/cpu4/topology/thread_siblings_list", "0,4");
  const CpuTopology topology = CpuTopology::look(root_);
  EXPECT_THAT(topology.node_of_cpu, ElementsAre(Pair(0, 0), Pair(1, 0), Pair(2, 1), Pair(3, 1), Pair(4, 0)));
  EXPECT_THAT(topology.core_of_cpu, ElementsAre(Pair(0, 0), Pair(4, 0)));
  EXPECT_THAT(topology.isolated, ElementsAre(3));
  EXPECT_EQ(topology.online, 5u);
  EXPECT_EQ(topology.nodes(), 2u);
  EXPECT_FALSE(topology.has_quota);
}

TEST_F(CpuTopologyTest, WhereThereIsNothingNothingIsKnown) {
  const CpuTopology topology = CpuTopology::look(root_);
  EXPECT_THAT(topology.node_of_cpu, IsEmpty());
  EXPECT_EQ(topology.node_of(0), std::nullopt);
  EXPECT_EQ(node_of_pci("0000:01:00.0", root_), std::nullopt);
}

TEST_F(CpuTopologyTest, AQuotaOfAnyGroupAboveIsOne) {
  write("proc/self/cgroup", "0::/kubepods/pod7/weir");
  write("sys/fs/cgroup/kubepods/pod7/weir/cpu.max", "max 100000");
  EXPECT_FALSE(CpuTopology::look(root_).has_quota);
  write("sys/fs/cgroup/kubepods/pod7/cpu.max", "150000 100000");
  EXPECT_TRUE(CpuTopology::look(root_).has_quota);
}

TEST_F(CpuTopologyTest, AQuotaOfTheOlderKindIsOneToo) {
  write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1");
  EXPECT_FALSE(CpuTopology::look(root_).has_quota);
  write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "50000");
  EXPECT_TRUE(CpuTopology::look(root_).has_quota);
}

TEST_F(CpuTopologyTest, DevicesSayTheirNodeOrNone) {
  write("sys/bus/pci/devices/0000:01:00.0/numa_node", "1");
  write("sys/bus/pci/devices/0000:02:00.0/numa_node", "-1");
  write("sys/class/net/eth0/device/numa_node", "0");
  EXPECT_EQ(node_of_pci("0000:01:00.0", root_), 1u);
  EXPECT_EQ(node_of_pci("0000:02:00.0", root_), std::nullopt);
  EXPECT_EQ(node_of_interface("eth0", root_), 0u);
  EXPECT_EQ(node_of_interface("veth0", root_), std::nullopt);
}

}  // namespace
}  // namespace weir::dataplane
