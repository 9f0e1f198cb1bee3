#include "dataplane/umem_pool.h"

#include <rte_mempool.h>

#include <vector>

namespace weir::dataplane {

size_t leave_within_umem(rte_mempool& pool) {
  const rte_mempool_memhdr* const first = STAILQ_FIRST(&pool.mem_list);
  if (first == nullptr) return 0;
  const size_t octets = rte_mempool_calc_obj_size(pool.elt_size, pool.flags, nullptr);
  const auto* const end = static_cast<const uint8_t*>(first->addr) + pool.populated_size * octets;
  std::vector<void*> within;
  within.reserve(pool.populated_size);
  size_t beyond = 0;
  // Past this thread's cache, from which no core would ever get them.
  for (void* object = nullptr; rte_mempool_generic_get(&pool, &object, 1, nullptr) == 0;) {
    if (static_cast<const uint8_t*>(object) + pool.elt_size <= end) {
      within.push_back(object);
    } else {
      ++beyond;
    }
  }
  if (!within.empty()) rte_mempool_generic_put(&pool, within.data(), static_cast<unsigned>(within.size()), nullptr);
  return beyond;
}

}  // namespace weir::dataplane
