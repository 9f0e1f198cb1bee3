// exception_appliance.h — A collector by net_af_xdp whose port has an interface for what is no export traffic, and an exporter at the other
// end of the wire, whose kernel knows of nothing else to speak to. Needs root.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <utility>

#include "two_hosts.h"

namespace weir::dataplane::testing {

/// Takes all that arrives, ARP included: without us the kernel knows nothing of it.
inline DataPlaneConfig appliance(ExceptionConfig exception) {
  DataPlaneConfig config = xdp_collector();
  config.dpdk_ports[0].exception = std::move(exception);
  return config;
}

inline ExceptionConfig with_addresses() {
  return {.interface = "weir0",
          .addresses = {{*IpAddress::parse("192.0.2.2"), 24}, {*IpAddress::parse("2001:db8::2"), 64}}};
}

inline uint64_t outcome(DataPlane& plane, ExceptionOutcome which) {
  return sum(plane, [&](Pipeline& p) { return p.counters().exceptions[which].value(); });
}

/// Frames that the cores passed on are the kernel's, or refused by it.
inline void expect_books(DataPlane& plane) {
  for (size_t i = 0; i < plane.cores().size(); ++i)
    EXPECT_THAT(plane.pipeline(i).ledger().discrepancies(), ::testing::IsEmpty());
  const ExceptionStats e = *stats(plane).exception;
  EXPECT_EQ(outcome(plane, ExceptionOutcome::passed), e.delivered + e.refused + e.waiting);
}

/// IPv6 addresses are tentative until the kernel has asked whether anybody has them.
inline bool is_found(const TwoHosts& hosts, DataPlane& plane, Collected& collected, const char* command) {
  return run_until(plane, collected, [&] { return hosts.there(command); });
}

/// An appliance of that configuration, with an exporter at the other end of its wire, until it is stopped.
inline void with_appliance(const ExceptionConfig& exception,
                           const std::function<void(const TwoHosts&, DataPlane&, Collected&)>& expect) {
  in_child([&] {
    TwoHosts hosts;
    ASSERT_TRUE(hosts.lay());
    auto plane = started(appliance(exception));
    ASSERT_NE(plane, nullptr);
    Collected collected;
    expect(hosts, *plane, collected);
    stop(*plane, collected);
    expect_books(*plane);
  });
}

}  // namespace weir::dataplane::testing
