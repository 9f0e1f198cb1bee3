// rss_check.h — What a device says of the RSS that it does, held against what it was told to do.
//
// Runs on:  start-up. Pure.
//
// Private to src/dataplane. Both give words for the port's note; empty: nothing is wrong.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace weir::dataplane {

/// Both are DPDK's bits, RTE_ETH_RSS_….
std::string rss_difference(uint64_t asked, uint64_t set);
/// `table`: the queues by hash. Those that none of them names.
std::string idle_queues(std::span<const uint16_t> table, uint16_t queues);

}  // namespace weir::dataplane
