// refused_threads.h — While it lives, no thread can be made in this process, as under `ulimit -u`.
#pragma once

#include <pthread.h>

#include <stdexcept>

namespace weir::test {

class RefusedThreads {
 public:
  RefusedThreads() {
    pthread_getattr_default_np(&usual_);
    pthread_attr_t huge;
    pthread_getattr_default_np(&huge);
    pthread_attr_setstacksize(&huge, size_t{1} << 46);  // there is no room for such a stack
    const int refused = pthread_setattr_default_np(&huge);
    pthread_attr_destroy(&huge);
    if (refused != 0) throw std::runtime_error("pthread_setattr_default_np failed");
  }
  ~RefusedThreads() {
    pthread_setattr_default_np(&usual_);
    pthread_attr_destroy(&usual_);
  }
  RefusedThreads(const RefusedThreads&) = delete;
  RefusedThreads& operator=(const RefusedThreads&) = delete;

 private:
  pthread_attr_t usual_;
};

}  // namespace weir::test
