// umem_pool.h — A pool of buffers that net_af_xdp shares with the kernel: only those that the kernel takes.
//
// Runs on:  the thread that makes the plane.
//
// The driver tells the kernel of one area, as long as all buffers side by side. They do not lie so: no buffer crosses a page,
// and without hugepages each has one of its own, a sixty-fourth of which is left over. What lies beyond the area's end the
// kernel neither sends from nor receives into; it counts that in the socket alone (tx_invalid_descs: ExceptionStats::invalid).
//
// Private to src/dataplane.
#pragma once

#include <cstddef>
#include <cstdint>

struct rte_mempool;

namespace weir::dataplane {

/// What a pool must have more, so that `mbufs` are left of it.
constexpr uint32_t mbufs_beyond_umem(uint32_t mbufs) noexcept { return mbufs / 60 + 2; }

/// Before the driver has the pool: takes those out of it, for good. How many they were.
size_t leave_within_umem(rte_mempool& pool);

}  // namespace weir::dataplane
