// fuse_absent.cc — In place of the room where it is left out.
#include "fuse/fused_way.h"

namespace weir::fuse {

std::unique_ptr<FusedWay> FusedWay::create(Kernel) { return nullptr; }

}  // namespace weir::fuse
