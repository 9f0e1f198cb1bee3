// What a decoder forgets it forgets by a clock that nobody sets; what it tells is by the wall clock.
#include <gtest/gtest.h>

#include "decode_support.h"

namespace weir::decode {
namespace {

using namespace lab;

constexpr uint64_t kSecond = kNsPerSec;

NetflowV9Builder v9(uint32_t source_id = 1) {
  return NetflowV9Builder{}.unix_secs(kNowSecs).uptime_ms(kUptimeMs).source_id(source_id);
}

class Ageing : public ::testing::Test {
 protected:
  void send(const Octets& octets, uint64_t wall_ns, uint64_t aged_ns) {
    const Datagram d{.payload = octets,
                     .source = Bench::From{}.source,
                     .source_port = 40'000,
                     .local_port = 2055,
                     .received_ns = wall_ns,
                     .aged_ns = aged_ns};
    bench_->decoder->decode(d, bench_->sink);
  }
  void make(DecoderConfig config) { bench_ = std::make_unique<Bench>(std::move(config)); }
  ExporterStats exporter() const {
    ExporterStats rows[1];
    uint32_t cursor = 0;
    EXPECT_EQ(bench_->decoder->copy_exporters(cursor, rows), 1u);
    return rows[0];
  }
  static Octets data() { return v9().data(256, {{u32(7)}}).build(); }
  static Octets templates() { return v9().templates({{.id = 256, .fields = {{1, 4}}}}).build(); }

  std::unique_ptr<Bench> bench_;
};

TEST_F(Ageing, DataThatWaitsKnowsNothingOfAStep) {
  for (const int64_t step_s : {86'400, -86'400}) {
    SCOPED_TRACE(step_s);
    DecoderConfig config;
    config.limits.pending_ttl_ns = 5 * kSecond;
    make(config);
    const uint64_t stepped_ns = kNow + static_cast<uint64_t>(step_s) * kSecond;
    send(data(), kNow, kNow);
    send(v9(2).data(256, {{u32(7)}}).build(), stepped_ns + kSecond, kNow + kSecond);
    bench_->decoder->tick(kNow + 2 * kSecond);
    EXPECT_EQ(bench_->outcome(SetOutcome::expired), 0u);
    send(templates(), stepped_ns + 3 * kSecond, kNow + 3 * kSecond);
    ASSERT_EQ(bench_->records(), 1u);
    EXPECT_EQ(bench_->kept(0).header.time_received_ns, kNow) << "as the clock stood when it came";
    bench_->decoder->tick(kNow + 6 * kSecond);
    EXPECT_EQ(bench_->outcome(SetOutcome::expired), 1u) << "the other's time has passed";
  }
}

TEST_F(Ageing, TemplatesLiveAsLongAsTheyAreToWhateverTheClockIsSetTo) {
  DecoderConfig config;
  config.limits.template_lifetime_ns = 60 * kSecond;
  make(config);
  send(templates(), kNow, kNow);
  send(data(), kNow + 86'400 * kSecond, kNow + 30 * kSecond);
  EXPECT_EQ(bench_->records(), 1u);
  send(data(), kNow - 86'400 * kSecond, kNow + 61 * kSecond);
  EXPECT_EQ(bench_->records(), 1u) << "it has expired";
}

TEST_F(Ageing, WhatIsToldIsByTheWallClockAsItStandsNow) {
  make({});
  constexpr uint64_t kStep = 3600 * kSecond;
  send(templates(), kNow, kNow);
  EXPECT_EQ(exporter().first_seen_ns, kNow);
  send(data(), kNow + kStep + kSecond, kNow + kSecond);
  EXPECT_EQ(exporter().last_seen_ns, kNow + kStep + kSecond);
  EXPECT_EQ(exporter().first_seen_ns, kNow + kStep) << "a second before";
  DomainStats domains[1];
  uint32_t cursor = 0;
  ASSERT_EQ(bench_->decoder->copy_domains(cursor, domains), 1u);
  EXPECT_EQ(domains[0].last_seen_ns, kNow + kStep + kSecond);
}

TEST_F(Ageing, AnImageIsOfTheWallClockAndIsTakenUpWhateverItsClockWas) {
  constexpr uint64_t kStep = 40ull * 365 * 86'400 * kSecond;  // it had no battery, and then NTP came
  DecoderConfig config;
  config.limits.template_lifetime_ns = 60 * kSecond;
  make(config);
  send(templates(), kNow - kStep, kNow - kStep);
  send(data(), kNow + kSecond, kNow - kStep + kSecond);
  DecoderConfig restored = restored_config(saved_state(*bench_->decoder));
  restored.limits.template_lifetime_ns = 60 * kSecond;
  make(restored);
  send(data(), kNow + 2 * kSecond, kNow + 2 * kSecond);
  EXPECT_EQ(bench_->records(), 1u);
  make(restored);
  send(data(), kNow + 86'400 * kSecond, kNow + 86'400 * kSecond);
  EXPECT_EQ(bench_->records(), 0u) << "too old by now";
}

TEST_F(Ageing, AnImageOfAClockThatIsAheadOfThisOneAgesAllTheSame) {
  constexpr uint64_t kBehind = 365ull * 86'400 * kSecond;  // the battery is empty; whatever NTP does, state ages by the other clock
  make({});
  send(templates(), kNow, kNow);
  DecoderConfig restored = restored_config(saved_state(*bench_->decoder));
  restored.limits.template_lifetime_ns = 60 * kSecond;
  make(restored);
  send(data(), kNow - kBehind, kNow - kBehind);
  EXPECT_EQ(bench_->records(), 1u);
  send(data(), kNow, kNow - kBehind + 61 * kSecond);
  EXPECT_EQ(bench_->records(), 1u) << "it has expired";
}

TEST_F(Ageing, ADomainThatHasNotBeenHeardAgainHasNoTime) {
  make({});
  send(templates(), kNow, kNow);
  send(v9(2).templates({{.id = 256, .fields = {{1, 4}}}}).build(), kNow, kNow);
  make(restored_config(saved_state(*bench_->decoder)));
  send(data(), kNow - 5000, kNow);  // the kernel's stamp is before the burst
  DomainStats domains[3];
  uint32_t cursor = 0;
  ASSERT_EQ(bench_->decoder->copy_domains(cursor, domains), 2u);
  for (const DomainStats& d : {domains[0], domains[1]}) EXPECT_EQ(d.last_seen_ns, d.id == 1 ? kNow - 5000 : 0u) << d.id;
}

}  // namespace
}  // namespace weir::decode
