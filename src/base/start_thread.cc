#include "base/start_thread.h"

#include <cstring>

namespace weir {

Result<pthread_t> start_thread(const std::string& name, void* (*run)(void*), void* argument) {
  // A new thread inherits the mask of its maker.
  sigset_t all, before;
  sigfillset(&all);
  sigdelset(&all, rights_signal());
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  const int rc = pthread_create(&thread, nullptr, run, argument);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (rc != 0) return Error{std::string("no thread: ") + std::strerror(rc)};
  pthread_setname_np(thread, name.c_str());
  return thread;
}

}  // namespace weir
