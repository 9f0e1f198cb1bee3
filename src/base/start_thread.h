// start_thread.h — A thread of our own that no signal is delivered to: those are the control thread's. But for one, by which
// a thread gives up its capabilities (service/process_rights.h).
//
// Runs on:  any thread.
// Failure:  an Error that says why there is no thread; nothing is thrown.
#pragma once

#include <pthread.h>
#include <signal.h>

#include <string>

#include "base/result.h"

namespace weir {

/// Nobody else uses it.
inline int rights_signal() noexcept { return SIGRTMAX; }

/// `name` is what `top -H` shows, of at most 15 octets. Who starts it joins it.
Result<pthread_t> start_thread(const std::string& name, void* (*run)(void*), void* argument);

}  // namespace weir
