// thread_roles.h — Which thread may call what, as clang thread-safety capabilities.
//
// A function that belongs to a role says WEIR_RUNS_ON(role); a thread's main function opens a
// RoleScope. Under clang a call from the wrong role does not compile; under g++ nothing is generated.
// The roles and what each may do are in docs/ARCHITECTURE.md.
#pragma once

#if defined(__clang__)
#define WEIR_THREAD_ATTRIBUTE(x) __attribute__((x))
#else
#define WEIR_THREAD_ATTRIBUTE(x)
#endif

#define WEIR_RUNS_ON(role) WEIR_THREAD_ATTRIBUTE(requires_capability(role))

namespace weir {

class WEIR_THREAD_ATTRIBUTE(capability("thread role")) ThreadRole {};

/// Receives, decodes, encodes, seals: no lock, no allocation, no log.
inline ThreadRole rx_lcore;
/// Decodes, encodes and seals what receive cores hand over to it. It is an rx_lcore as well, with all that this
/// forbids and allows: this role is for what only the taking end of a lane may do.
inline ThreadRole worker_lcore;
/// Drains rings, routes batches, keeps timers: never blocks on I/O.
inline ThreadRole control_thread;
/// Carries frames between receive cores, devices and the kernel's interfaces.
inline ThreadRole exception_thread;
/// Gives batches to a client library, which may block.
inline ThreadRole publisher_thread;
/// Writes batches to a spool and reads them back: waits for the disk.
inline ThreadRole spool_thread;
/// Takes messages of flows, makes events of them and publishes these: its client libraries may block.
inline ThreadRole etl_thread;
/// Takes messages of flows and makes rows of them; its client libraries may block.
inline ThreadRole ingest_thread;
/// Writes rows and commits them: waits for the disk.
inline ThreadRole store_writer;
/// Folds rows, makes files of them, and looks after these.
inline ThreadRole keeper_thread;
/// Serves HTTP from immutable snapshots.
inline ThreadRole http_thread;

/// Says that the current scope runs as `role`. Opened once, where a thread starts (and in tests).
class WEIR_THREAD_ATTRIBUTE(scoped_lockable) RoleScope {
 public:
  explicit RoleScope([[maybe_unused]] ThreadRole& role)
      WEIR_THREAD_ATTRIBUTE(acquire_capability(role)) {}
  ~RoleScope() WEIR_THREAD_ATTRIBUTE(release_capability()) {}
  RoleScope(const RoleScope&) = delete;
  RoleScope& operator=(const RoleScope&) = delete;
};

}  // namespace weir
