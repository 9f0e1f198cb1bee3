// rss_check.h — What a device says of the RSS that it does, held against what it was told to do.
//
// Runs on:  start-up. Pure.
//
// Private to src/dataplane. Words are for the port's note; empty: nothing is wrong.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace weir::dataplane {

/// What to ask a device for that can hash `offloads`, so that datagrams of one source meet one queue as far as it can;
/// 0: it can do nothing of the kind. All are DPDK's bits, RTE_ETH_RSS_….
uint64_t rss_to_ask(uint64_t offloads);
/// What is not as it should be in what is asked of it.
std::string_view rss_shortcoming(uint64_t asked);
/// Both are DPDK's bits, RTE_ETH_RSS_….
std::string rss_difference(uint64_t asked, uint64_t set);
/// `table`: the queues by hash. Those that none of them names.
std::string idle_queues(std::span<const uint16_t> table, uint16_t queues);

}  // namespace weir::dataplane
