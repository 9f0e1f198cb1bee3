// thread_rights.h — A thread without capabilities: those that read what others have sent need none, whoever the process is.
//
// Spec:     capabilities(7): they are a thread's own. The user stays, and with it what files let it do.
// Runs on:  the thread itself; also in a signal's handler.
#pragma once

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace weir {

/// For good. False: the kernel, or who contains this process, does not let it; service::ThreadWatch names such a thread.
inline bool give_up_capabilities() noexcept {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  const __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};
  return syscall(SYS_capset, &header, none) == 0;
}

/// The same for one that opens files, which root that stays root goes by its capabilities for.
inline bool give_up_capabilities_unless_root() noexcept { return geteuid() == 0 || give_up_capabilities(); }

}  // namespace weir
