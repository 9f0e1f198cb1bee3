// turning_plane.h — A data plane whose cores turn when the test says so.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "base/clock.h"
#include "dataplane/data_plane.h"

namespace weir::control {

class TurningPlane : public dataplane::DataPlane {
 public:
  static constexpr uint16_t kPort = 2055;

  explicit TurningPlane(size_t cores) {
    for (size_t i = 0; i < cores; ++i) {
      dataplane::PipelineConfig config;
      config.listeners.push_back({.name = "netflow", .port = kPort, .route = {}, .rules = {}});
      config.decoder.limits.exporters_max = 16;
      config.decoder.limits.template_octets_total = config.decoder.limits.pending_octets_total = 4 << 20;
      config.batcher.buffers = 64;
      auto made = dataplane::Pipeline::create(config);
      EXPECT_TRUE(made) << made.error().message;
      pipelines_.push_back(std::move(*made));
      infos_.push_back({.core = static_cast<uint16_t>(i), .serves = {}});
    }
  }
  void turn(size_t core) {
    const RoleScope role(rx_lcore);
    pipelines_[core]->poll(now_ns_ += kNsPerSec, wall_clock_ns());
  }
  void turn() {
    for (size_t i = 0; i < pipelines_.size(); ++i) turn(i);
  }
  void receive(size_t core, std::span<const uint8_t> payload, uint64_t received_ns, const char* exporter = "192.0.2.7") {
    const RoleScope role(rx_lcore);
    pipelines_[core]->on_datagram({.payload = payload,
                                   .source = *IpAddress::parse(exporter),
                                   .source_port = 4000,
                                   .local_port = kPort,
                                   .listener = {0},
                                   .received_ns = received_ns});
  }

  Result<void> start() override { return {}; }
  Result<void> change(const dataplane::DataPlaneConfig&) override { return {}; }
  bool settle_change() override { return true; }
  void request_stop() override {}
  bool has_ended() const noexcept override { return false; }
  void stop() override {}
  std::span<const dataplane::CoreInfo> cores() const noexcept override { return infos_; }
  dataplane::Pipeline& pipeline(size_t core) noexcept override { return *pipelines_[core]; }
  std::optional<dataplane::WorkerStats> worker_stats(size_t) const override { return {}; }
  std::vector<dataplane::PortStats> port_stats() override { return {}; }
  std::shared_ptr<const classify::Stages> stages() const override { return nullptr; }
  bool at_end() const noexcept override { return false; }

 private:
  std::vector<std::unique_ptr<dataplane::Pipeline>> pipelines_;
  std::vector<dataplane::CoreInfo> infos_;
  uint64_t now_ns_ = 1000 * kNsPerSec;
};

}  // namespace weir::control
