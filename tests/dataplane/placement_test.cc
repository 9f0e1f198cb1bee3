#include "dataplane/placement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dataplane/eal.h"

namespace weir::dataplane {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;
using ::testing::Not;

std::vector<unsigned> cpus_of(const Placement& placement) {
  std::vector<unsigned> cpus;
  for (const CorePlacement& core : placement.cores) cpus.push_back(core.cpu);
  return cpus;
}

Placement placed(std::vector<PortDemand> ports, std::vector<unsigned> usable,
                 std::optional<unsigned> main_cpu = {}) {
  Result<Placement> placement = place_cores(ports, main_cpu, usable);
  EXPECT_TRUE(placement) << placement.error().message;
  return placement ? std::move(*placement) : Placement{};
}

PortDemand chosen(uint16_t queues, uint16_t cores) { return {"p0", queues, cores, {}}; }

TEST(Placement, GivesOneQueueACpuThatIsNotTheMainOne) {
  EXPECT_THAT(cpus_of(placed({chosen(1, 1)}, {0, 1})), ElementsAre(1));
  EXPECT_THAT(cpus_of(placed({chosen(1, 1)}, {0, 1}, 1)), ElementsAre(0));
}

TEST(Placement, KeepsOffCpusThatThreadsOfSocketsAreGiven) {
  const std::vector<unsigned> usable{0, 1, 2, 3}, of_sockets{1};
  const auto placement = place_cores(std::vector{chosen(2, 2)}, 0, usable, {}, of_sockets);
  ASSERT_TRUE(placement) << placement.error().message;
  EXPECT_THAT(cpus_of(*placement), ElementsAre(2, 3));
}

TEST(Placement, SharesTheOnlyCpu) {
  const Placement placement = placed({chosen(2, 2)}, {3});
  EXPECT_EQ(placement.main_cpu, 3u);
  EXPECT_THAT(cpus_of(placement), ElementsAre(3, 3));
}

TEST(Placement, TakesTheMainCpuLastThenGoesRound) {
  EXPECT_THAT(cpus_of(placed({chosen(4, 4)}, {0, 1, 2})), ElementsAre(1, 2, 0, 1));
}

TEST(Placement, ServesMoreQueuesThanCoresInTurn) {
  const Placement placement = placed({chosen(3, 2)}, {0, 1, 2});
  ASSERT_EQ(placement.cores.size(), 2u);
  EXPECT_THAT(placement.cores[0].queues, ElementsAre(QueueRef{0, 0}, QueueRef{0, 2}));
  EXPECT_THAT(placement.cores[1].queues, ElementsAre(QueueRef{0, 1}));
}

TEST(Placement, MakesOneCoreOfANamedCpuForAllPorts) {
  const Placement placement =
      placed({{"p0", 2, 2, {2, 3}}, {"p1", 1, 1, {3}}, {"p2", 1, 1, {}}}, {0, 1, 2, 3});
  EXPECT_THAT(cpus_of(placement), ElementsAre(2, 3, 1));  // the chosen one keeps off the named
  EXPECT_THAT(placement.cores[1].queues, ElementsAre(QueueRef{0, 1}, QueueRef{1, 0}));
}

TEST(Placement, GivesWorkersCpusOfTheirOwnBehindThoseThatReceive) {
  const Placement placement = placed({{"p0", 1, 1, {}, 2}, {"p1", 1, 1, {}}}, {0, 1, 2, 3, 4});
  EXPECT_THAT(cpus_of(placement), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(placement.cores[0].queues, ElementsAre(QueueRef{0, 0}));
  EXPECT_THAT(placement.cores[1].works_as, ElementsAre(WorkerRef{0, 0}));
  EXPECT_THAT(placement.cores[2].works_as, ElementsAre(WorkerRef{0, 1}));
  EXPECT_THAT(placement.cores[2].queues, ::testing::IsEmpty());
}

TEST(Placement, MakesOneCoreOfACpuThatIsNamedForQueuesAndForWorkers) {
  const Placement placement = placed({{"p0", 1, 1, {2}, 2, {2, 3}}, {"p1", 1, 1, {3}, 1, {2}}, {"p2", 1, 1, {}}}, {0, 1, 2, 3});
  EXPECT_THAT(cpus_of(placement), ElementsAre(2, 3, 1));  // the chosen one keeps off the named
  EXPECT_THAT(placement.cores[0].works_as, ElementsAre(WorkerRef{0, 0}, WorkerRef{1, 0}));
  EXPECT_THAT(placement.cores[1].queues, ElementsAre(QueueRef{1, 0}));
  EXPECT_THAT(placement.cores[1].works_as, ElementsAre(WorkerRef{0, 1}));
}

TEST(Placement, RefusesWorkersCpusThatAreNotOneForEach) {
  const std::vector<unsigned> usable = {0, 1, 2};
  for (const std::vector<unsigned>& cpus : {std::vector<unsigned>{1}, std::vector<unsigned>{1, 2, 0}}) {
    const std::vector<PortDemand> ports = {{"edge", 1, 1, {}, 2, cpus}};
    EXPECT_THAT(place_cores(ports, {}, usable).error().message, HasSubstr("worker_lcores for 2 workers"));
  }
  const std::vector<PortDemand> twice = {{"edge", 1, 1, {}, 2, {1, 1}}};
  EXPECT_THAT(place_cores(twice, {}, usable).error().message, HasSubstr("port edge: CPU 1 twice in worker_lcores"));
}

TEST(Placement, RefusesMoreLcoresThanQueues) {
  const std::vector<PortDemand> ports = {{"edge", 1, 1, {1, 2}}};
  const std::vector<unsigned> usable = {0, 1, 2};
  const Result<Placement> placement = place_cores(ports, {}, usable);
  ASSERT_FALSE(placement);
  EXPECT_THAT(placement.error().message, HasSubstr("port edge: 2 lcores for 1 queue"));
}

TEST(Placement, RefusesMoreCoresThanDpdkHas) {
  const std::vector<PortDemand> ports = {chosen(128, 128)};
  const std::vector<unsigned> usable = {0, 1};
  EXPECT_FALSE(place_cores(ports, {}, usable));
}

/// Two nodes, two threads a core: CPUs 0 to 3 with their siblings 8 to 11 on node 0, 4 to 7 and 12 to 15 on node 1.
CpuTopology two_nodes() {
  CpuTopology topology;
  for (unsigned cpu = 0; cpu < 16; ++cpu) {
    topology.node_of_cpu[cpu] = cpu % 8 / 4;
    topology.core_of_cpu[cpu] = cpu % 8;
  }
  topology.online = 16;
  return topology;
}

std::vector<unsigned> all_of(const CpuTopology& topology) {
  std::vector<unsigned> cpus;
  for (const auto& [cpu, node] : topology.node_of_cpu) cpus.push_back(cpu);
  return cpus;
}

Placement placed_on(const CpuTopology& topology, std::vector<PortDemand> ports, std::vector<unsigned> usable) {
  Result<Placement> placement = place_cores(ports, {}, usable, topology);
  EXPECT_TRUE(placement) << placement.error().message;
  return placement ? std::move(*placement) : Placement{};
}

PortDemand on_node(std::string name, uint16_t queues, unsigned node) {
  PortDemand port{.name = std::move(name), .queues = queues, .cores = queues};
  port.node = node;
  return port;
}

TEST(NumaPlacement, StaysOnTheDevicesNodeOnCoresThatNobodyShares) {
  const CpuTopology topology = two_nodes();
  const Placement placement = placed_on(topology, {on_node("p0", 3, 0), on_node("p1", 2, 1)}, all_of(topology));
  EXPECT_EQ(placement.main_cpu, 0u);
  EXPECT_THAT(cpus_of(placement), ElementsAre(1, 2, 3, 4, 5));
  EXPECT_THAT(placement.crossings, ::testing::IsEmpty());
}

TEST(NumaPlacement, TakesSiblingsOfItsNodeBeforeItCrosses) {
  const CpuTopology topology = two_nodes();
  const Placement placement = placed_on(topology, {on_node("p1", 6, 1)}, all_of(topology));
  EXPECT_THAT(cpus_of(placement), ElementsAre(4, 5, 6, 7, 12, 13));
  // The main CPU's sibling comes behind those of idle cores.
  EXPECT_THAT(cpus_of(placed_on(topology, {on_node("p0", 5, 0)}, all_of(topology))), ElementsAre(1, 2, 3, 8, 9));
}

TEST(NumaPlacement, SaysWhereItHadToCross) {
  const CpuTopology topology = two_nodes();
  const Placement placement = placed_on(topology, {on_node("p0", 3, 0)}, {0, 1, 4, 5});
  EXPECT_THAT(cpus_of(placement), ElementsAre(1, 4, 5)) << "the main CPU is left alone, near as it is";
  EXPECT_THAT(placement.crossings, ElementsAre(NodeCrossing{0, 4, 1, 0}, NodeCrossing{0, 5, 1, 0}));
}

TEST(NumaPlacement, SaysThatNamedCpusAreFar) {
  const CpuTopology topology = two_nodes();
  PortDemand port = on_node("p0", 2, 0);
  port.lcores = {4, 1};
  port.workers = 1;
  port.worker_lcores = {4};
  EXPECT_THAT(placed_on(topology, {port}, all_of(topology)).crossings, ElementsAre(NodeCrossing{0, 4, 1, 0}));
}

TEST(NumaPlacement, WorkersAreAsNearAsWhoReceives) {
  const CpuTopology topology = two_nodes();
  PortDemand port = on_node("p1", 1, 1);
  port.workers = 2;
  EXPECT_THAT(cpus_of(placed_on(topology, {port}, all_of(topology))), ElementsAre(4, 5, 6));
}

TEST(NumaPlacement, PrefersIsolatedCpusOfTheNode) {
  CpuTopology topology = two_nodes();
  topology.isolated = {3, 6, 7};
  EXPECT_THAT(cpus_of(placed_on(topology, {on_node("p0", 2, 0), on_node("p1", 3, 1)}, all_of(topology))),
              ElementsAre(3, 1, 6, 7, 4));
}

TEST(NumaPlacement, ServesMoreQueuesThanThereAreCpusInTurn) {
  const CpuTopology topology = two_nodes();
  const Placement placement = placed_on(topology, {on_node("p1", 5, 1)}, {0, 1, 4});
  EXPECT_THAT(cpus_of(placement), ElementsAre(4, 1, 0, 4, 1));
  EXPECT_THAT(placement.crossings, ElementsAre(NodeCrossing{0, 1, 0, 1}, NodeCrossing{0, 0, 0, 1}));
}

TEST(NumaPlacement, ADeviceOfNoNodeIsServedByAny) {
  const CpuTopology topology = two_nodes();
  const Placement placement = placed_on(topology, {chosen(5, 5)}, all_of(topology));
  EXPECT_THAT(cpus_of(placement), ElementsAre(1, 2, 3, 4, 5));
  EXPECT_THAT(placement.crossings, ::testing::IsEmpty());
}

TEST(SocketThreadPlacement, ArePinnedWhereTheConfigurationSays) {
  const CpuTopology topology = two_nodes();
  const std::vector<unsigned> asked = {5, 6}, usable = all_of(topology);
  EXPECT_THAT(place_socket_threads(asked, 3, {}, usable, topology), ElementsAre(5, 6, 5));
}

TEST(SocketThreadPlacement, AreLeftToTheKernelUnlessTheProcessHasCpusOfItsOwnForAll) {
  CpuTopology topology = two_nodes();
  const Placement dpdk{.main_cpu = 2, .cores = {{.cpu = 3, .queues = {}}}, .crossings = {}};
  const std::vector<unsigned> own = {2, 3, 4, 5}, all = all_of(topology);
  EXPECT_THAT(place_socket_threads({}, 2, dpdk, own, topology), ElementsAre(4, 5));
  EXPECT_THAT(place_socket_threads({}, 3, {}, own, topology), ElementsAre(3, 4, 5));
  EXPECT_THAT(place_socket_threads({}, 3, dpdk, own, topology), ::testing::IsEmpty()) << "not one for each";
  EXPECT_THAT(place_socket_threads({}, 2, {}, all, topology), ::testing::IsEmpty()) << "the machine is everybody's";
  topology.has_quota = true;
  EXPECT_THAT(place_socket_threads({}, 2, {}, own, topology), ::testing::IsEmpty()) << "a pod that has them for part of the time";
}

TEST(SocketThreadPlacement, CpusThatAreIsolatedFromEverybodyWereNotTakenFromUs) {
  CpuTopology topology = two_nodes();
  topology.online = 8;
  topology.isolated = {6, 7};
  const std::vector<unsigned> shared = {0, 1, 2, 3, 4, 5}, own = {5, 6, 7};
  EXPECT_THAT(place_socket_threads({}, 2, {}, shared, topology), ::testing::IsEmpty()) << "the rest is everybody's";
  EXPECT_THAT(place_socket_threads({}, 2, {}, own, topology), ElementsAre(6, 7)) << "nobody balances these";
}

TEST(EalArguments, AreThoseThatWorkWithoutHugepages) {
  Placement placement = placed({chosen(2, 2)}, {0, 1});
  const std::vector<std::string> arguments = eal_arguments({.memory_mb = 128}, placement, {});
  EXPECT_THAT(arguments, IsSupersetOf({"--no-huge", "--no-shconf", "--no-telemetry", "--no-pci",
                                       "-m", "128", "--lcores", "0@0,1@1,2@0"}));
  EXPECT_THAT(arguments, Not(Contains("--in-memory")));  // EAL refuses the two together
}

TEST(EalArguments, ShareFilesOnlyWithAPrefixAndTouchOnlyNamedPciDevices) {
  const Placement placement = placed({chosen(1, 1)}, {0, 1});
  const std::vector<std::string> devices = {"0000:01:00.0"};
  const EalConfig config{
      .hugepages = true, .file_prefix = "weir", .extra_args = {"--iova-mode=va"}};
  const std::vector<std::string> arguments = eal_arguments(config, placement, devices);
  EXPECT_THAT(arguments,
              IsSupersetOf({"--file-prefix=weir", "-a", "0000:01:00.0", "--iova-mode=va"}));
  for (const char* unwanted :
       {"--no-huge", "--no-shconf", "--no-telemetry", "--no-pci", "--in-memory"})
    EXPECT_THAT(arguments, Not(Contains(unwanted)));
  EXPECT_THAT(eal_arguments({.hugepages = true}, placement, {}), Contains("--in-memory"));
}

}  // namespace
}  // namespace weir::dataplane
