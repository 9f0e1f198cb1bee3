// notify_test.cc — What `weir run` tells the service manager: ready, alive, stopping; and silence when it stands still.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <fstream>

#include "support/ports.h"
#include "support/process.h"

namespace weir {
namespace {

using test::eventually;
using namespace std::chrono_literals;

/// A stand-in for the manager's end of NOTIFY_SOCKET.
class Manager {
 public:
  explicit Manager(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }
  ~Manager() { ::close(fd_); }
  /// Takes what has come; how many messages of all began with `word`.
  int heard(const std::string& word) {
    char buffer[1024];
    for (ssize_t n; (n = ::recv(fd_, buffer, sizeof buffer, 0)) > 0;) said_.emplace_back(buffer, static_cast<size_t>(n));
    int count = 0;
    for (const std::string& message : said_) count += message.rfind(word, 0) == 0;
    return count;
  }

 private:
  int fd_;
  std::vector<std::string> said_;
};

TEST(ServiceManager, IsToldOfReadinessLifeAndEnd) {
  const test::TemporaryFolder folder;
  const uint16_t port = test::free_udp_port();
  std::ofstream(folder / "weir.yaml") << "listeners: [{name: netflow, listen_addr: \"127.0.0.1:" << port
                                      << "\"}]\npublishers: [{kind: stdout}]\nbuffer_bytes: 64MiB\nstate_dir: \"\"\n"
                                      << "control_socket: {path: " << (folder / "control.sock") << "}\n";
  Manager manager(folder / "notify");
  test::Process weir(folder, {test::built("weir"), "run", "-c", folder / "weir.yaml"},
                     {"NOTIFY_SOCKET=" + (folder / "notify"), "WATCHDOG_USEC=30000000"});
  ASSERT_TRUE(eventually([&] { return manager.heard("READY=1") == 1 || !weir.is_running(); })) << weir.err();
  ASSERT_EQ(manager.heard("READY=1"), 1) << weir.err();
  EXPECT_TRUE(eventually([&] { return manager.heard("WATCHDOG=1") >= 2; })) << "it says again and again that it lives";

  weir.signal(SIGSTOP);
  std::this_thread::sleep_for(100ms);
  const int before = manager.heard("WATCHDOG=1");
  std::this_thread::sleep_for(2500ms);
  EXPECT_EQ(manager.heard("WATCHDOG=1"), before) << "who stands still says nothing";
  weir.signal(SIGCONT);
  EXPECT_TRUE(eventually([&] { return manager.heard("WATCHDOG=1") > before; }));

  EXPECT_EQ(manager.heard("STOPPING=1"), 0);
  EXPECT_EQ(weir.terminate(), 0) << weir.err();
  EXPECT_EQ(manager.heard("STOPPING=1"), 1);
  EXPECT_EQ(manager.heard("READY=1"), 1);
}

}  // namespace
}  // namespace weir
