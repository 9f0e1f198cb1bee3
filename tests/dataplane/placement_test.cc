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
