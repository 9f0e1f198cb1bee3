// process_rights.h — Whose a process is: its start with root's rights, its life as a user of its own without them.
//
// Two steps. assume() makes it the user in all that goes by names and owners, while capabilities stay for ports, devices and
// BPF programs; give_up() leaves those that were named, in the calling thread, and none in all others. Between them every
// file that is made is the user's, and what the user may not read is found out at start, not at the first reload.
//
// Spec:     capabilities(7), credentials(7): Linux changes credentials thread by thread. glibc's setresuid tells all threads, and
//           the kernel takes the capabilities of each that leaves uid 0; where a process began as another user with capabilities,
//           a signal has each thread take its own (rights_signal()).
// Runs on:  assume(): before there are other threads. give_up(): control_thread.
// Failure:  an Error that says what cannot be; then the process must end, for it is neither the one nor the other.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace weir::service {

/// A capability that is kept, and what for.
struct KeptRight {
  unsigned number = 0;  // CAP_…
  std::string why;
};

/// `CAP_NET_ADMIN`; a number where there is no name for it here.
std::string capability_name(unsigned number);

/// What this process may, as others are told.
struct RightsView {
  std::string user;  // its name; the number where it has none
  uid_t uid = 0;
  gid_t gid = 0;
  bool has_given_up = false;  // and could not have them again
  std::vector<KeptRight> kept;
  std::vector<std::string> capabilities;      // of the control thread, by name
  std::vector<std::string> threads_with_more; // that have some: a library's, which takes no signals, or came later

  /// As it is now.
  static RightsView look();
};

/// A folder that is made where it is missing, and is the user's.
struct OwnFolder {
  std::string path;
  mode_t mode = 0755;
};

struct Identity {
  std::string user;   // name or number; empty: as it was started
  std::string group;  // empty: the user's own
};

/// Opening files as root for as long as it lives, where assume() has left that: hugepages, VFIO's devices.
class FileRights {
 public:
  FileRights();
  ~FileRights();
  FileRights(const FileRights&) = delete;
  FileRights& operator=(const FileRights&) = delete;

 private:
  uint64_t raised_ = 0;
};

class ProcessRights {
 public:
  /// No program that is started from now on may more than this one, whatever happens next.
  static Result<ProcessRights> assume(const Identity& identity, std::span<const OwnFolder> folders = {});
  /// What has been opened stays open. A process that stays root, as it was asked to, gives up nothing.
  Result<RightsView> give_up(std::vector<KeptRight> kept);

 private:
  ProcessRights() = default;
  bool is_two_step_ = false;  // the real user is root still
  uid_t uid_ = 0;
};

/// Between assume() and give_up(): the folder is not there, and could have been made before.
bool is_for_root_to_make(const std::string& path);

}  // namespace weir::service
