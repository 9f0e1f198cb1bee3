// pretended_clock.cc — A wall clock that is off by what a file says, for the program that LD_PRELOAD has this loaded into:
// what it asks the C library, and what the kernel writes on datagrams. The machine's clock stays as it is.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace {

const std::atomic<int64_t>* map_seconds() {
  const char* const path = std::getenv("WEIR_PRETENDED_SECONDS");
  const int fd = path != nullptr ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (fd < 0) std::abort();
  void* const mapped = mmap(nullptr, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
  close(fd);
  if (mapped == MAP_FAILED) std::abort();
  return static_cast<const std::atomic<int64_t>*>(mapped);
}

int64_t seconds() {
  static const std::atomic<int64_t>* const mapped = map_seconds();
  return mapped->load();
}

template <class F>
F behind(const char* name) {
  return reinterpret_cast<F>(dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" int clock_gettime(clockid_t which, timespec* out) noexcept {
  static const auto ask = behind<int (*)(clockid_t, timespec*)>("clock_gettime");
  const int rc = ask(which, out);
  if (rc == 0 && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) out->tv_sec += seconds();
  return rc;
}

extern "C" int gettimeofday(timeval* out, void* zone) noexcept {
  static const auto ask = behind<int (*)(timeval*, void*)>("gettimeofday");
  const int rc = ask(out, zone);
  if (rc == 0) out->tv_sec += seconds();
  return rc;
}

extern "C" time_t time(time_t* out) noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  if (out != nullptr) *out = now.tv_sec;
  return now.tv_sec;
}

extern "C" int recvmmsg(int fd, mmsghdr* messages, unsigned count, int flags, timespec* timeout) {
  static const auto receive = behind<int (*)(int, mmsghdr*, unsigned, int, timespec*)>("recvmmsg");
  const int received = receive(fd, messages, count, flags, timeout);
  for (int i = 0; i < received; ++i) {
    msghdr& message = messages[i].msg_hdr;
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
      if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS) continue;
      timespec stamp;
      std::memcpy(&stamp, CMSG_DATA(c), sizeof stamp);
      stamp.tv_sec += seconds();
      std::memcpy(CMSG_DATA(c), &stamp, sizeof stamp);
    }
  }
  return received;
}
