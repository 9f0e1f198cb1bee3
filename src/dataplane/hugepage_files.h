// hugepage_files.h — Hugepages that DPDK processes left behind.
//
// Runs on:  start-up.
// Bounds:   as many files as there are hugepages.
// Failure:  what cannot be opened counts as in use.
//
// A process with a file prefix keeps a file for each of its pages in a hugetlbfs, and locks it; after its end, whatever that was, the
// file and its page are still there. The next process that starts so takes away all files that nobody locks.
//
// Private to src/dataplane.
#pragma once

#include <cstdint>
#include <string>

namespace weir::dataplane {

/// Octets in such files of processes that are gone, in every hugetlbfs of `mounts`.
uint64_t abandoned_hugepage_octets(const std::string& mounts = "/proc/mounts");

}  // namespace weir::dataplane
