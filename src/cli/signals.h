// signals.h — SIGTERM, SIGINT and SIGHUP as something a control loop can ask for.
//
// Runs on:  made on main's thread before there are others, so that every thread has them blocked.
#pragma once

#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>

namespace weir::cli {

class Signals {
 public:
  Signals() {
    sigemptyset(&set_);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set_, signal);
    pthread_sigmask(SIG_BLOCK, &set_, nullptr);
    fd_ = signalfd(-1, &set_, SFD_NONBLOCK | SFD_CLOEXEC);
  }
  ~Signals() { close(fd_); }
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  /// The next one that came; 0: none.
  int take() {
    signalfd_siginfo info;
    return read(fd_, &info, sizeof info) == sizeof info ? static_cast<int>(info.ssi_signo) : 0;
  }

 private:
  sigset_t set_;
  int fd_ = -1;
};

}  // namespace weir::cli
