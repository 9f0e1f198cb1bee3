// clock_step_test.cc — A collector at work while somebody sets the machine's clock, ahead and back.
//
// The collector alone believes in that clock (pretended_clock.cc, which WEIR_PRETENDED_CLOCK names): it is set by an hour, and what
// waits and ages does so for a minute. With WEIR_CLOCK_STEP, in seconds, as scripts/clock_step.sh runs it, the machine's own is
// set, for a second or two. Needs root: a TAP in a network namespace.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timex.h>

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/clock.h"
#include "lab/frame_builder.h"
#include "lab/message_builder.h"
#include "support/ports.h"
#include "support/process.h"

namespace weir {
namespace {

using nlohmann::json;
using test::eventually;
using test::Process;
using ::testing::HasSubstr;

/// The wall clock and nothing else, in one go.
bool step_clock(int seconds) {
  timex by{};
  by.modes = ADJ_SETOFFSET;
  by.time.tv_sec = seconds;
  return clock_adjtime(CLOCK_REALTIME, &by) >= 0;
}

/// Sets a clock ahead and back.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual bool set_ahead() = 0;
  virtual bool set_back() = 0;
  virtual uint64_t now_ns() const = 0;
};

/// The collector's, which is the machine's and so many seconds.
class PretendedClock final : public Clock {
 public:
  PretendedClock(const std::string& path, int seconds) : seconds_(seconds) {
    const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    void* mapped = MAP_FAILED;
    if (fd >= 0 && ftruncate(fd, sizeof(int64_t)) == 0) mapped = mmap(nullptr, sizeof(int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED) std::abort();
    close(fd);
    ahead_ = static_cast<std::atomic<int64_t>*>(mapped);
  }
  ~PretendedClock() override { munmap(ahead_, sizeof(int64_t)); }
  bool set_ahead() override {
    *ahead_ = seconds_;
    return true;
  }
  bool set_back() override {
    *ahead_ = 0;
    return true;
  }
  uint64_t now_ns() const override { return wall_clock_ns() + static_cast<uint64_t>(*ahead_) * kNsPerSec; }

 private:
  const int seconds_;
  std::atomic<int64_t>* ahead_ = nullptr;
};

/// The machine's. A process of its own takes back what this one, however it ends, leaves behind.
class ClockSetter final : public Clock {
 public:
  explicit ClockSetter(int seconds) : seconds_(seconds) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) std::abort();
    if (fork() == 0) {
      setsid();
      close(ends[1]);
      char is_ahead = 0;
      while (read(ends[0], &is_ahead, 1) == 1) {
      }
      if (is_ahead != 0) step_clock(-seconds);
      _exit(0);
    }
    close(ends[0]);
    keeper_ = ends[1];
  }
  ~ClockSetter() override { close(keeper_); }
  bool set_ahead() override { return tell(1) && step_clock(seconds_); }
  bool set_back() override { return step_clock(-seconds_) && tell(0); }
  uint64_t now_ns() const override { return wall_clock_ns(); }

 private:
  bool tell(char is_ahead) const { return write(keeper_, &is_ahead, 1) == 1; }

  const int seconds_;
  int keeper_ = -1;
};

class ClockStep : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* const by = std::getenv("WEIR_CLOCK_STEP");
    const char* const pretended = std::getenv("WEIR_PRETENDED_CLOCK");
    if (by == nullptr && pretended == nullptr) GTEST_SKIP() << "WEIR_PRETENDED_CLOCK names no library";
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    std::vector<std::string> environment;
    if (by != nullptr) {
      lifetime_secs_ = 4;
      patience_ = std::chrono::seconds(3);  // others have this clock, too
      seconds_ = std::atoi(by);
      clock_ = std::make_unique<ClockSetter>(seconds_);
    } else {
      const std::string path = folder_ / "seconds";
      clock_ = std::make_unique<PretendedClock>(path, seconds_);
      environment = {std::string("LD_PRELOAD=") + pretended, "WEIR_PRETENDED_SECONDS=" + path};
    }
    ASSERT_GT(seconds_, lifetime_secs_);
    ASSERT_EQ(unshare(CLONE_NEWNET), 0) << "needs root";
    ASSERT_EQ(std::system("ip link set lo up"), 0);
    std::ofstream(folder_ / "weir.yaml")
        << "ports:\n"
           "  - {name: device, device: \"net_tap0,iface=weirtap0\"}\n"
           "  - {name: kernel, kind: socket, address: 127.0.0.1}\n"
           "listeners:\n"
           "  - {name: netflow, port: " << port_ << ", template_lifetime_secs: " << lifetime_secs_
        << ", pending_flows: {ttl_secs: " << lifetime_secs_ << "}}\n"
           "limits: {fragment_timeout_ms: " << lifetime_secs_ * 1000 << "}\n"
           "publishers:\n  - {kind: stdout}\n"
           "buffer_bytes: 64MiB\n"
           "state_dir: " << (folder_ / "state") << "\n"
           "control_socket: {path: " << (folder_ / "control.sock") << "}\n";
    weir_ = std::make_unique<Process>(folder_, std::vector<std::string>{test::built("weir"), "run", "-c", folder_ / "weir.yaml"}, environment);
    ASSERT_TRUE(eventually([&] { return !get("status").is_null() && open_wire(); })) << weir_->err();
  }
  void TearDown() override {
    if (HasFailure() && weir_) std::fputs(weir_->err().c_str(), stderr);
    if (wire_ >= 0) close(wire_);
  }

  /// Null while nobody answers.
  json get(const std::string& what) {
    Process ctl(folder_, {test::built("weirctl"), "--socket", folder_ / "control.sock", "--json", what});
    return ctl.wait() == 0 ? json::parse(ctl.out(), nullptr, false) : json();
  }
  json clock() { return get("status").at("clock"); }

  bool open_wire() {
    sockaddr_ll at{};
    at.sll_family = AF_PACKET;
    at.sll_ifindex = static_cast<int>(if_nametoindex("weirtap0"));
    if (at.sll_ifindex == 0) return false;
    wire_ = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    return bind(wire_, reinterpret_cast<sockaddr*>(&at), sizeof at) == 0;
  }
  lab::UdpEnds ends() const { return {.src = "192.0.2.1", .dst = "192.0.2.2", .src_port = 40'000, .dst_port = port_}; }
  void send(const lab::Octets& frame) const {
    EXPECT_EQ(::send(wire_, frame.data(), frame.size(), 0), static_cast<ssize_t>(frame.size()));
  }
  void send_to_device(const lab::Octets& datagram) const { send(lab::udp_frame(ends(), datagram)); }
  void send_to_kernel(const lab::Octets& datagram) const {
    const int fd = socket(AF_INET, SOCK_DGRAM, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port_);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(sendto(fd, datagram.data(), datagram.size(), 0, reinterpret_cast<sockaddr*>(&to), sizeof to),
              static_cast<ssize_t>(datagram.size()));
    close(fd);
  }

  lab::NetflowV9Builder next() {
    return lab::NetflowV9Builder{}.sequence(sequence_++).unix_secs(static_cast<uint32_t>(clock_->now_ns() / kNsPerSec));
  }
  lab::Octets definition(uint16_t id) { return next().templates({{.id = id, .fields = {{8, 4}, {12, 4}, {1, 4}}}}).build(); }
  lab::Octets data(uint16_t id, std::vector<uint32_t> bytes) {
    std::vector<lab::Record> records;
    for (const uint32_t of_one : bytes)
      records.push_back({lab::ipv4("192.0.2.7"), lab::ipv4("192.0.2.8"), lab::u32(of_one)});
    return next().data(id, records).build();
  }

  /// The record with so many bytes, which marks it; null: it has not come out yet.
  json record(uint32_t bytes) const {
    std::istringstream lines(weir_->out());
    for (std::string line; std::getline(lines, line);) {
      const json one = json::parse(line, nullptr, false);
      if (one.is_object() && one.value("bytes", 0u) == bytes) return one;
    }
    return {};
  }
  /// It comes out, received when the clock stood as it does now: nearer than half of what it was set by.
  void expect_of_now(uint32_t bytes) {
    ASSERT_TRUE(eventually([&] { return !record(bytes).is_null(); }, patience_)) << bytes << ": " << get("ledger");
    const double apart_s = (static_cast<double>(record(bytes).at("time_received_ns").get<uint64_t>()) - static_cast<double>(clock_->now_ns())) / 1e9;
    EXPECT_LT(std::abs(apart_s), seconds_ / 2.0) << bytes << " was received " << apart_s << " s from now";
  }

  test::TemporaryFolder folder_;
  uint16_t port_ = test::free_udp_port();
  std::unique_ptr<Process> weir_;
  std::unique_ptr<Clock> clock_;
  int seconds_ = 3600;
  int lifetime_secs_ = 60;  // all that waits or ages does so for less than the clock is set by
  std::chrono::milliseconds patience_ = std::chrono::seconds(20);
  int wire_ = -1;
  uint32_t sequence_ = 0;
};

TEST_F(ClockStep, LosesNothingAndTellsTheTimeAsItStands) {
  // Ticks of the CPU are gone by after a second in which they agreed, where they are at all.
  eventually([&] { return clock().at("source") == "tsc"; }, std::chrono::seconds(5));
  ASSERT_EQ(clock().at("steps"), 0);
  const lab::Octets whole = definition(256), early = data(257, {30}), in_two = data(256, std::vector<uint32_t>(60, 20));
  const auto pieces = lab::fragment_packets(ends(), 7, lab::udp_segment(ends(), in_two), 504);
  ASSERT_EQ(pieces.size(), 2u);
  send_to_device(whole);
  send(lab::ethernet(lab::kEtherTypeIpv4, pieces[0]));
  send_to_device(early);  // its template comes later
  send_to_kernel(lab::NetflowV5Builder{}.record({.octets = 10}).build());
  expect_of_now(10);

  ASSERT_TRUE(clock_->set_ahead());
  const bool is_seen_ahead = eventually([&] { return clock().at("steps") == 1; }, patience_);
  send(lab::ethernet(lab::kEtherTypeIpv4, pieces[1]));
  send_to_device(definition(257));
  send_to_device(data(256, {40}));
  send_to_kernel(lab::NetflowV5Builder{}.sequence(1).record({.octets = 50}).build());
  expect_of_now(40);
  expect_of_now(50);
  expect_of_now(20);
  ASSERT_TRUE(clock_->set_back());
  EXPECT_TRUE(is_seen_ahead);
  EXPECT_TRUE(eventually([&] { return !record(30).is_null(); })) << "what waited for its template, by a clock that nobody sets";

  EXPECT_TRUE(eventually([&] { return clock().at("steps") == 2; }));
  send_to_device(data(256, {60}));
  send_to_kernel(lab::NetflowV5Builder{}.sequence(2).record({.octets = 70}).build());
  expect_of_now(60);
  expect_of_now(70);
  EXPECT_NEAR(clock().at("last_step_ns").get<double>(), -1e9 * seconds_, 1e8);

  json ledger;
  EXPECT_TRUE(eventually([&] { return (ledger = get("ledger"))["records"]["decoded"] == 60 + 6; })) << ledger;
  EXPECT_EQ(ledger["balanced"], true) << ledger["discrepancies"];
  EXPECT_EQ(ledger["before_arrival"]["sequence_lost"], 0);
  EXPECT_EQ(ledger["sets"]["outcomes"].at("expired"), 0) << ledger["sets"];
  EXPECT_EQ(weir_->terminate(), 0);
  EXPECT_THAT(weir_->err(), HasSubstr("the wall clock was set: 1 step, the last by +" + std::to_string(seconds_)));
}

}  // namespace
}  // namespace weir
