#include "service/service_notify.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

namespace weir::service {
namespace {

/// A stand-in for the manager's end of NOTIFY_SOCKET.
class Manager {
 public:
  explicit Manager(const std::string& path) : path_(path) {
    fd_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    if (path[0] == '@') address.sun_path[0] = '\0';
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), length), 0);
  }
  ~Manager() {
    close(fd_);
    if (path_[0] == '/') unlink(path_.c_str());
  }
  std::string next() {
    char buffer[1024];
    const ssize_t n = recv(fd_, buffer, sizeof buffer, 0);
    return n < 0 ? "nothing" : std::string(buffer, static_cast<size_t>(n));
  }

 private:
  std::string path_;
  int fd_;
};

TEST(ServiceNotify, SpeaksTheProtocolOverBothKindsOfSocket) {
  const std::string unique = "weir-notify-" + std::to_string(getpid());
  for (const std::string& path : {"/tmp/" + unique, "@" + unique}) {
    Manager manager(path);
    ServiceNotify notify(path);
    ASSERT_TRUE(notify.is_listened_to()) << path;
    EXPECT_TRUE(notify.ready("2 cores"));
    EXPECT_EQ(manager.next(), "READY=1\nSTATUS=2 cores");
    EXPECT_TRUE(notify.status("busy\nREADY=1"));
    EXPECT_EQ(manager.next(), "STATUS=busy READY=1");
    EXPECT_TRUE(notify.watchdog());
    EXPECT_EQ(manager.next(), "WATCHDOG=1");
    EXPECT_TRUE(notify.stopping("draining", 90'000'000'000));
    EXPECT_EQ(manager.next(), "STOPPING=1\nEXTEND_TIMEOUT_USEC=100000000\nSTATUS=draining");
  }
}

TEST(ServiceNotify, DoesNothingWhenNobodyListens) {
  for (const char* path : {"", "relative", "/", "@"}) {
    ServiceNotify notify(path, 1000);
    EXPECT_FALSE(notify.is_listened_to()) << path;
    EXPECT_FALSE(notify.ready("")) << path;
    EXPECT_EQ(notify.watchdog_interval_ns(), 0u);
  }
  ServiceNotify gone("/tmp/weir-notify-nobody-here");
  EXPECT_FALSE(gone.ready(""));
}

TEST(ServiceNotify, TakesTheWatchdogOnlyWhenItIsMeantForThisProcess) {
  const struct {
    const char* usec;
    std::string pid;
    uint64_t interval_ns;
  } cases[] = {
      {"30000000", "", 30'000'000'000},
      {"30000000", std::to_string(getpid()), 30'000'000'000},
      {"30000000", "1", 0},
      {"soon", "", 0},
      {"18446744073709551615", "", 0},
  };
  setenv("NOTIFY_SOCKET", "/tmp/weir-notify-nobody-here", 1);
  for (const auto& c : cases) {
    setenv("WATCHDOG_USEC", c.usec, 1);
    c.pid.empty() ? unsetenv("WATCHDOG_PID") : setenv("WATCHDOG_PID", c.pid.c_str(), 1);
    EXPECT_EQ(ServiceNotify::from_environment().watchdog_interval_ns(), c.interval_ns) << c.usec;
  }
  unsetenv("NOTIFY_SOCKET");
  unsetenv("WATCHDOG_USEC");
  unsetenv("WATCHDOG_PID");
}

}  // namespace
}  // namespace weir::service
