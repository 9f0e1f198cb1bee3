#include "control/state/state_keeper.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/clock.h"
#include "control/state/state_file.h"
#include "lab/message_builder.h"
#include "support/hanging_file.h"
#include "support/process.h"
#include "support/refused_threads.h"

#if defined(__clang__)
#pragma clang diagnostic ignored "-Wthread-safety-analysis"  // one thread plays all roles here
#endif

namespace weir::control {
namespace {

using namespace lab;
using test::TemporaryFolder;

constexpr uint64_t kInterval = 30 * kNsPerSec;

/// Pipelines without cores: what a core does, the test does.
class Plane final : public dataplane::DataPlane {
 public:
  explicit Plane(size_t cores, std::shared_ptr<const decode::StateImage> restored = nullptr) {
    dataplane::PipelineConfig config;
    config.listeners = {{"netflow", 2055, {}, {}}};
    config.decoder.restored = std::move(restored);
    config.decoder.cores = static_cast<uint32_t>(cores);
    config.batcher.buffers = 4;
    for (size_t i = 0; i < cores; ++i) {
      pipelines_.push_back(*dataplane::Pipeline::create(config));
      info_.push_back({.core = static_cast<uint16_t>(i), .cpu = -1, .serves = {}});
    }
  }
  Result<void> start() override { return {}; }
  Result<void> change(const dataplane::DataPlaneConfig&) override { return {}; }
  bool settle_change() override { return true; }
  void request_stop() override {}
  bool has_ended() const noexcept override { return true; }
  void stop() override {}
  std::span<const dataplane::CoreInfo> cores() const noexcept override { return info_; }
  dataplane::Pipeline& pipeline(size_t core) noexcept override { return *pipelines_[core]; }
  std::optional<dataplane::WorkerStats> worker_stats(size_t) const override { return {}; }
  std::vector<dataplane::PortStats> port_stats() override { return {}; }
  std::shared_ptr<const classify::Stages> stages() const override { return nullptr; }
  bool at_end() const noexcept override { return false; }

  void receive(size_t core, const char* exporter, const Octets& octets) {
    const RoleScope role(rx_lcore);
    Datagram d;
    d.payload = octets;
    d.source = *IpAddress::parse(exporter);
    d.received_ns = wall_clock_ns();
    pipelines_[core]->on_datagram(d);
  }
  void poll() {
    const RoleScope role(rx_lcore);
    for (auto& p : pipelines_) p->poll(steady_clock_ns(), wall_clock_ns());
  }
  uint64_t records(size_t core) { return pipelines_[core]->decoder_counters().records.value(); }

 private:
  std::vector<std::unique_ptr<dataplane::Pipeline>> pipelines_;
  std::vector<dataplane::CoreInfo> info_;
};

Octets templates(uint16_t id = 256) {
  return NetflowV9Builder{}
      .unix_secs(static_cast<uint32_t>(wall_clock_ns() / kNsPerSec))
      .templates({{.id = id, .fields = {{1, 4}}}})
      .build();
}
Octets data(uint16_t id = 256) {
  return NetflowV9Builder{}
      .unix_secs(static_cast<uint32_t>(wall_clock_ns() / kNsPerSec))
      .data(id, {{u32(1)}})
      .build();
}

void finish(StateKeeper& keeper, Plane& plane) {
  keeper.begin_finish(plane);
  EXPECT_TRUE(test::eventually([&] { return keeper.has_finished(); }));
}

/// A run of an appliance that knows these exporters' template, and ends.
void run_with(const std::string& folder, const std::vector<const char*>& exporters) {
  const RoleScope role(control_thread);
  StateKeeper keeper(folder, kInterval);
  Plane plane(2, keeper.load());
  for (size_t i = 0; i < exporters.size(); ++i) plane.receive(i % 2, exporters[i], templates());
  finish(keeper, plane);
  EXPECT_EQ(keeper.view().error, "");
}

/// Whether exporters are known to the next run.
std::vector<bool> known(const std::string& folder, const std::vector<const char*>& exporters) {
  StateKeeper keeper(folder, kInterval);
  Plane plane(1, keeper.load());
  std::vector<bool> all;
  for (const char* exporter : exporters) {
    const uint64_t before = plane.records(0);
    plane.receive(0, exporter, data());
    all.push_back(plane.records(0) > before);
  }
  return all;
}

TEST(StateKeeper, WhatTheCoresKnewIsThereAfterARestart) {
  const TemporaryFolder folder;
  run_with(folder / "", {"192.0.2.1", "192.0.2.2", "2001:db8::1"});
  EXPECT_EQ(known(folder / "", {"192.0.2.1", "192.0.2.2", "2001:db8::1", "192.0.2.3"}),
            (std::vector<bool>{true, true, true, false}));
}

TEST(StateKeeper, ExportersThatAreSilentForARunAreNotForgotten) {
  const TemporaryFolder folder;
  run_with(folder / "", {"192.0.2.1", "192.0.2.2"});
  run_with(folder / "", {"192.0.2.3"});
  run_with(folder / "", {});
  EXPECT_EQ(known(folder / "", {"192.0.2.1", "192.0.2.2", "192.0.2.3"}),
            (std::vector<bool>{true, true, true}));
}

TEST(StateKeeper, WhatAnExporterSaysNowTakesThePlaceOfWhatItSaid) {
  const TemporaryFolder folder;
  run_with(folder / "", {"192.0.2.1"});
  {
    const RoleScope role(control_thread);
    StateKeeper keeper(folder / "", kInterval);
    Plane plane(1, keeper.load());
    plane.receive(0, "192.0.2.1", IpfixBuilder{}.build());  // heard of again: v9's is taken up
    plane.receive(0, "192.0.2.1", templates(300));
    finish(keeper, plane);
    EXPECT_EQ(keeper.view().saved_templates, 2u);
    EXPECT_EQ(keeper.view().saved_exporters, 1u);
  }
  StateKeeper keeper(folder / "", kInterval);
  EXPECT_EQ(keeper.load()->contents().templates, 2u);
}

TEST(StateKeeper, SavesAtIntervalsWhenSomethingChanged) {
  const TemporaryFolder folder;
  const std::string path = folder / "decoder_state";
  const RoleScope role(control_thread);
  StateKeeper keeper(folder / "", kInterval);
  Plane plane(2, keeper.load());
  uint64_t now = 1000 * kNsPerSec;
  const auto turns = [&](int n) {
    for (int i = 0; i < n; ++i) {
      keeper.step(plane, now);
      plane.poll();
    }
  };
  plane.receive(0, "192.0.2.1", templates());
  turns(20);
  now += kInterval - 1;
  turns(20);
  EXPECT_EQ(keeper.view().saved_ns, 0u) << "not yet";
  now += 1;
  turns(20);
  ASSERT_TRUE(test::eventually([&] { return keeper.view().saved_ns != 0; }));
  EXPECT_EQ(keeper.view().saved_templates, 1u);
  // Nothing new: nothing is written.
  std::filesystem::remove(path);
  for (int i = 0; i < 5; ++i) {
    now += kInterval;
    turns(20);
  }
  EXPECT_FALSE(std::filesystem::exists(path));
  plane.receive(1, "192.0.2.2", templates());
  now += kInterval;
  turns(20);
  EXPECT_TRUE(test::eventually([&] { return keeper.view().saved_templates == 2; }));
  EXPECT_TRUE(std::filesystem::exists(path));
  // But when they were last heard of is kept up to date.
  std::filesystem::remove(path);
  now += 600 * kNsPerSec;
  turns(20);
  EXPECT_TRUE(test::eventually([&] { return std::filesystem::exists(path); }));
  finish(keeper, plane);
}

TEST(StateKeeper, ManyTemplatesTakeManyChunks) {
  const TemporaryFolder folder;
  constexpr uint32_t kExporters = 60;
  constexpr uint16_t kTemplates = 1000;
  {
    const RoleScope role(control_thread);
    StateKeeper keeper(folder / "", kInterval);
    Plane plane(1, keeper.load());
    for (uint32_t e = 0; e < kExporters; ++e) {
      const std::string exporter = IpAddress::from_v4(0x0A000000 + e).to_string();
      for (uint16_t t = 0; t < kTemplates; t += 100) {
        std::vector<Template> some;
        for (uint16_t i = 0; i < 100; ++i) {
          some.push_back(
              {.id = static_cast<uint16_t>(256 + t + i), .fields = {{1, 4}, {2, 4}, {8, 4}}});
        }
        plane.receive(0, exporter.c_str(), NetflowV9Builder{}.templates(some).build());
      }
    }
    finish(keeper, plane);
    EXPECT_EQ(keeper.view().saved_templates, kExporters * kTemplates);
    EXPECT_GT(keeper.view().saved_octets, 2u << 20);
  }
  StateKeeper keeper(folder / "", kInterval);
  EXPECT_EQ(keeper.load()->contents().templates, kExporters * kTemplates);
}

TEST(StateKeeper, AFileThatCannotBeReadIsSetAside) {
  const TemporaryFolder folder;
  const std::string path = folder / "decoder_state";
  run_with(folder / "", {"192.0.2.1"});
  const std::string good = test::contents_of(path);
  const std::string nonsense("\1\0\0\0\0\0\0\0\0\0\0\0", 12);
  std::string of_nonsense;
  {
    const std::vector<uint8_t> records(nonsense.begin(), nonsense.end());
    const auto header = state_file_header(records, 1);
    of_nonsense.assign(header.begin(), header.end());
    of_nonsense += nonsense;
  }
  for (const std::string& bad :
       {good.substr(0, good.size() - 1), std::string("?"), std::string(), of_nonsense}) {
    std::ofstream(path, std::ios::binary) << bad;
    StateKeeper keeper(folder / "", kInterval);
    EXPECT_EQ(keeper.load(), nullptr);
    EXPECT_FALSE(std::filesystem::exists(path));
    EXPECT_EQ(test::contents_of(path + ".ignored"), bad);
  }
  std::ofstream(path, std::ios::binary) << good;
  EXPECT_EQ(known(folder / "", {"192.0.2.1"}), std::vector<bool>{true});
}

TEST(StateKeeper, AFolderThatIsNotThereIsSaidAndNothingElseHappens) {
  const TemporaryFolder folder;
  const RoleScope role(control_thread);
  StateKeeper keeper(folder / "none", kInterval);
  Plane plane(1, keeper.load());
  plane.receive(0, "192.0.2.1", templates());
  finish(keeper, plane);
  EXPECT_NE(keeper.view().error.find("none"), std::string::npos) << keeper.view().error;
  EXPECT_EQ(keeper.view().saved_ns, 0u);
}

TEST(StateKeeper, AFileSystemThatHangsHoldsUpNobodyAndTheLastStateIsKeptOnceItMoves) {
  const TemporaryFolder folder;
  test::HangingFile hanging(folder / "decoder_state.new");
  const RoleScope role(control_thread);
  StateKeeper keeper(folder / "", kInterval);
  Plane plane(1, keeper.load());
  plane.receive(0, "192.0.2.1", templates());
  keeper.step(plane, kInterval);
  for (int i = 0; i < 20; ++i) {
    keeper.step(plane, 2 * kInterval);
    plane.poll();
  }
  EXPECT_FALSE(keeper.has_finished()) << "the write at the interval hangs";
  keeper.step(plane, 3 * kInterval);
  EXPECT_NE(keeper.view().error.find("still being written"), std::string::npos)
      << keeper.view().error;
  plane.receive(0, "192.0.2.1", templates(300));
  keeper.begin_finish(plane);
  EXPECT_FALSE(keeper.has_finished());
  hanging.let_go();
  ASSERT_TRUE(test::eventually([&] { return keeper.has_finished(); }));
  EXPECT_EQ(keeper.view().error, "");
  EXPECT_EQ(keeper.view().saved_templates, 2u);
}

TEST(StateKeeper, TriesAgainAtTheNextIntervalWhenNoThreadCanBeMade) {
  const TemporaryFolder folder;
  const RoleScope role(control_thread);
  StateKeeper keeper(folder / "", kInterval);
  Plane plane(1, keeper.load());
  plane.receive(0, "192.0.2.1", templates());
  uint64_t now = kInterval;
  const auto interval = [&] {
    now += kInterval;
    for (int i = 0; i < 20; ++i) {
      keeper.step(plane, now);
      plane.poll();
    }
  };
  keeper.step(plane, now);
  {
    const test::RefusedThreads refused;
    interval();
    EXPECT_NE(keeper.view().error.find("no thread can be made"), std::string::npos)
        << keeper.view().error;
  }
  interval();
  EXPECT_TRUE(test::eventually([&] { return keeper.view().saved_templates == 1; }));
  EXPECT_EQ(keeper.view().error, "");
  finish(keeper, plane);
}

TEST(StateKeeper, WithoutAFolderNothingIsKept) {
  const RoleScope role(control_thread);
  StateKeeper keeper("", kInterval);
  EXPECT_EQ(keeper.load(), nullptr);
  Plane plane(1);
  plane.receive(0, "192.0.2.1", templates());
  keeper.step(plane, 0);
  keeper.step(plane, 100 * kInterval);
  finish(keeper, plane);
  EXPECT_EQ(keeper.view().path, "");
  EXPECT_EQ(keeper.view().error, "");
}

}  // namespace
}  // namespace weir::control
