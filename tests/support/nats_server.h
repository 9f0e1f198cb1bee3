// nats_server.h — A real nats-server for one test: JetStream on, a folder of its own, loopback only.
//
// The process dies with the test program. Only the process that was started here is ever signalled.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <thread>

namespace weir::test {

class NatsServer {
 public:
  enum class JetStream { on, off };

  /// Debian's place for it, or the PATH's; empty when there is none.
  static std::string binary() {
    for (const char* path :
         {"/usr/sbin/nats-server", "/usr/bin/nats-server", "/usr/local/bin/nats-server"}) {
      if (::access(path, X_OK) == 0) return path;
    }
    return {};
  }

  /// Reserves a port and a folder; nothing runs yet. `extra` is added to the server's configuration.
  explicit NatsServer(std::string extra = {}, JetStream jetstream = JetStream::on)
      : extra_(std::move(extra)), jetstream_(jetstream) {
    std::string pattern = (std::filesystem::temp_directory_path() / "weir-nats-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    folder_ = pattern;
    port_ = free_port();
  }
  ~NatsServer() {
    kill();
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  NatsServer(const NatsServer&) = delete;
  NatsServer& operator=(const NatsServer&) = delete;

  /// Of the loopback interface, that nobody has at this moment.
  static uint16_t free_port() {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = loopback(0);
    socklen_t length = sizeof address;
    if (::bind(fd, reinterpret_cast<sockaddr*>(&address), length) != 0 ||
        ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
      throw std::runtime_error("no free loopback port");
    }
    ::close(fd);
    return ntohs(address.sin_port);
  }

  std::string url() const { return "nats://127.0.0.1:" + std::to_string(port_); }
  const std::filesystem::path& folder() const { return folder_; }

  /// For the next start. `[::]` is every address; 127.0.0.1 must be one of them.
  void set_address(std::string address) { address_ = std::move(address); }
  /// For the next start.
  void set_extra(std::string extra) { extra_ = std::move(extra); }

  /// Starts it and waits until it answers; false when it does not within ten seconds.
  bool start() {
    {
      std::ofstream config(folder_ / "server.conf");
      config << "listen: \"" << address_ << ":" << port_ << "\"" << "\n" << extra_ << "\n";
      if (jetstream_ == JetStream::on) {
        config << "jetstream { store_dir: \"" << (folder_ / "store").string() << "\" }\n";
      }
    }
    const std::string path = binary();
    const std::string config = (folder_ / "server.conf").string();
    const std::string log = (folder_ / "server.log").string();
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      const int fd = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
      ::dup2(fd, 1);
      ::dup2(fd, 2);
      ::execl(path.c_str(), path.c_str(), "-c", config.c_str(), static_cast<char*>(nullptr));
      ::_exit(127);
    }
    for (int i = 0; i < 1000; ++i) {
      if (answers()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
  }
  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  pid_t pid() const noexcept { return pid_; }
  void pause() const { ::kill(pid_, SIGSTOP); }
  void resume() const { ::kill(pid_, SIGCONT); }

 private:
  static sockaddr_in loopback(uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
  }
  /// It greets whoever connects with INFO.
  bool answers() const {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = loopback(port_);
    char first = 0;
    const bool up =
        ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
        ::recv(fd, &first, 1, 0) == 1 && first == 'I';
    ::close(fd);
    return up;
  }

  std::filesystem::path folder_;
  std::string address_ = "127.0.0.1";
  std::string extra_;
  JetStream jetstream_;
  uint16_t port_ = 0;
  pid_t pid_ = -1;
};

}  // namespace weir::test
