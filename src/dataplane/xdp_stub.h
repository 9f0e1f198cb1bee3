// xdp_stub.h — A program that net_af_xdp takes for its own, so that it leaves interfaces to ours.
//
// Spec:     ELF-64 for EM_BPF as libbpf reads it; BTF-defined maps.
// Runs on:  control_thread.
// Failure:  an Error with what the system said.
//
// Private to src/dataplane. Without `xdp_prog=` the driver has libxdp load a program that takes every frame, for which
// it wants CAP_SYS_ADMIN. With one it loads a file, which must have a map `xsks_map`, and attaches it: this one passes
// everything, and is taken off again at once (XdpSteering).
#pragma once

#include "base/result.h"

namespace weir::dataplane {

/// A file in memory that holds it; the caller closes it once the driver has read it (/proc/self/fd/N).
Result<int> make_xdp_stub();

}  // namespace weir::dataplane
