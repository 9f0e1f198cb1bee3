// finish_output.h — The end of a program that prints: was there room for all of it?
//
// Runs on:  main, when all threads that print have ended.
#pragma once

#include <poll.h>
#include <unistd.h>

#include <cstdio>

namespace weir::cli {

/// The status that the program ends with: 1 for a 0 whose output could not be written, which is said on
/// standard error. Whoever closed the other end of a pipe had enough.
inline int finish_output(int status) {
  const bool is_out = std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
  pollfd reader{STDOUT_FILENO, POLLOUT, 0};
  const bool has_left = ::poll(&reader, 1, 0) == 1 && (reader.revents & POLLERR) != 0;
  if (is_out || has_left) return status;
  std::fputs("standard output cannot be written\n", stderr);
  return status == 0 ? 1 : status;
}

}  // namespace weir::cli
