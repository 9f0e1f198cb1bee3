// When a TCP session ends by the time, who gives way to whom, and what becomes of what the kernel has when it stops. The clock stands, and
// goes on as the tests say.
#include <dlfcn.h>

#include <atomic>
#include <functional>
#include <semaphore>

#include "stalled_thread.h"
#include "tcp_port.h"

namespace {

/// What another thread of this process does before it reads from a socket.
class ReadingHook {
 public:
  explicit ReadingHook(std::function<void()> before) : before_(std::move(before)), own_(pthread_self()) { hook_ = this; }
  ~ReadingHook() { hook_ = nullptr; }
  ReadingHook(const ReadingHook&) = delete;
  ReadingHook& operator=(const ReadingHook&) = delete;
  static void run() {
    const ReadingHook* const hook = hook_;
    if (hook != nullptr && pthread_equal(hook->own_, pthread_self()) == 0) hook->before_();
  }

 private:
  static inline std::atomic<const ReadingHook*> hook_{nullptr};
  const std::function<void()> before_;
  const pthread_t own_;
};

}  // namespace

/// Stands before the C library's own.
extern "C" ssize_t recv(int fd, void* into, size_t octets, int flags);
extern "C" ssize_t recv(int fd, void* into, size_t octets, int flags) {
  using Receive = ssize_t (*)(int, void*, size_t, int);
  static const auto receive = reinterpret_cast<Receive>(dlsym(RTLD_NEXT, "recv"));
  ReadingHook::run();
  return receive(fd, into, octets, flags);
}

namespace weir::dataplane::testing {
namespace {

using namespace lab;

constexpr uint64_t kMessageNs = 10 * kNsPerSec;

class TcpTime : public TcpPort {
 protected:
  TcpTime() { config_.tcp.message_ns = kMessageNs; }
};

TEST_F(TcpTime, EndsWhoIsTooSlow) {
  config_.tcp.idle_ns = 60 * kNsPerSec;
  make_beside_time();
  const Octets message = data(30);
  const Connection idle(tcp_port());
  ASSERT_TRUE(idle.send(definition()));
  ASSERT_TRUE(wait_for_messages(1));
  const Connection slow(tcp_port());
  for (size_t i = 0; i < 10; ++i) {  // an octet now and then
    EXPECT_EQ(tcp().ended.total(), 0u);
    ASSERT_TRUE(slow.send(std::span(message).subspan(i, 1)));
    ASSERT_TRUE(wait([&] { return stats().octets == definition().size() + i + 1; }));
    go_on(kNsPerSec);
  }
  ASSERT_TRUE(wait_for_end(TcpEnd::message_late));
  EXPECT_TRUE(slow.is_closed());
  EXPECT_EQ(error(decode::DatagramError::truncated_message), 1u);
  go_on(49 * kNsPerSec);
  EXPECT_EQ(tcp().ended[TcpEnd::idle], 0u);
  EXPECT_FALSE(idle.is_closed_by_now());
  go_on(kNsPerSec);
  ASSERT_TRUE(wait_for_end(TcpEnd::idle));
  EXPECT_TRUE(idle.is_closed());
  stop_all();
}

// Whoever was held up was us.
TEST_F(TcpTime, IsNotLateWithWhatLiesInTheKernel) {
  config_.tcp.idle_ns = kMessageNs;
  make_beside_time();
  const Connection begun(tcp_port()), idle(tcp_port(), "127.0.0.2");
  const Octets message = data(30);
  ASSERT_TRUE(begun.send(joined({definition(), Octets(message.begin(), message.begin() + 40)})));
  ASSERT_TRUE(idle.send(definition()));
  ASSERT_TRUE(wait([&] { return stats().octets == 2 * definition().size() + 40; }));
  go_on(kMessageNs - kNsPerSec / 4);
  ASSERT_EQ(tcp().ended.total(), 0u);
  const std::vector<pid_t> threads = threads_named("weir-rx-");
  ASSERT_EQ(threads.size(), 1u);
  StalledThread stalled(threads.front());
  if (!stalled.stands()) GTEST_SKIP() << "needs ptrace";
  ASSERT_TRUE(begun.send(std::span(message).subspan(40)));
  ASSERT_TRUE(idle.send(data(3)));
  ASSERT_TRUE(wait_for_delivery(begun) && wait_for_delivery(idle));
  clock_->pass(kNsPerSec * 3 / 4);  // less than what counts as having been held up altogether
  stalled.resume();
  ASSERT_TRUE(wait_for_messages(4));
  EXPECT_EQ(tcp().ended.total(), 0u);
  stop_all();
  EXPECT_EQ(collected_.records, 33u);
}

TEST_F(TcpTime, GivesThePlaceOfWhoNeverSaidAnythingToAnother) {
  config_.tcp.sessions_max = 2;
  make_beside_time();
  const Connection speaks(tcp_port());
  ASSERT_TRUE(speaks.send(definition()));
  ASSERT_TRUE(wait_for_messages(1));
  const Connection silent(tcp_port(), "127.0.0.2");
  ASSERT_TRUE(wait([&] { return tcp().sessions == 2; }));
  go_on(kMessageNs + kNsPerSec);
  const Connection newcomer(tcp_port(), "127.0.0.3");
  ASSERT_TRUE(newcomer.send(definition()));
  ASSERT_TRUE(wait_for_messages(2));
  EXPECT_EQ(tcp().ended[TcpEnd::displaced], 1u);
  EXPECT_TRUE(silent.is_closed());
  EXPECT_FALSE(speaks.is_closed_by_now());
  stop_all();
}

// A header alone holds no place for the time that a session may be idle.
TEST_F(TcpTime, GivesThePlaceOfWhoSentEmptyMessages) {
  config_.tcp.sessions_max = 2;
  make_beside_time();
  const Connection speaks(tcp_port());
  ASSERT_TRUE(speaks.send(definition()));
  const Connection empty(tcp_port(), "127.0.0.2");
  ASSERT_TRUE(empty.send(IpfixBuilder{}.build()));
  ASSERT_TRUE(wait_for_messages(2));
  go_on(kMessageNs + kNsPerSec);
  const Connection newcomer(tcp_port(), "127.0.0.3");
  ASSERT_TRUE(newcomer.send(definition()));
  ASSERT_TRUE(wait_for_messages(3));
  EXPECT_EQ(tcp().ended[TcpEnd::displaced], 1u);
  EXPECT_TRUE(empty.is_closed());
  EXPECT_FALSE(speaks.is_closed_by_now());
  stop_all();
}

TEST_F(TcpTime, GivesANewcomerTheIdlestPlaceOfWhoHasMost) {
  config_.tcp.sessions_max = 5;
  make_beside_time();
  std::vector<Connection> many;
  for (int i = 0; i < 4; ++i) {
    many.emplace_back(tcp_port(), "127.0.0.2");
    ASSERT_TRUE(many.back().send(definition()));
    ASSERT_TRUE(wait_for_messages(many.size()));
    go_on(kNsPerSec);
  }
  const Connection single(tcp_port());  // idle as well, and the only one of its exporter
  ASSERT_TRUE(single.send(definition()));
  ASSERT_TRUE(wait_for_messages(5));
  const Connection early(tcp_port(), "127.0.0.3");  // all are at work
  EXPECT_TRUE(early.is_closed());
  go_on(kMessageNs + kNsPerSec);
  ASSERT_TRUE(many[0].send(data(1)));  // not idle any more
  ASSERT_TRUE(wait_for_messages(6));
  const Connection first(tcp_port(), "127.0.0.3");
  ASSERT_TRUE(first.send(definition()));
  ASSERT_TRUE(wait_for_messages(7));
  EXPECT_TRUE(many[1].is_closed());
  const Connection second(tcp_port(), "127.0.0.3");  // has one, and the other three: two each
  ASSERT_TRUE(second.send(definition()));
  ASSERT_TRUE(wait_for_messages(8));
  EXPECT_TRUE(many[2].is_closed());
  go_on(kMessageNs + kNsPerSec);
  const Connection third(tcp_port(), "127.0.0.3");  // nobody has two more
  EXPECT_TRUE(third.is_closed());
  EXPECT_FALSE(many[0].is_closed_by_now());
  EXPECT_FALSE(single.is_closed_by_now());
  EXPECT_EQ(tcp().ended[TcpEnd::displaced], 2u);
  EXPECT_EQ(tcp().refused[TcpRefusal::sessions_max], 2u);
  stop_all();
}

TEST_F(TcpTime, TakesWhatIsCompleteWhenItStops) {
  make();
  const Connection exporter(tcp_port());
  std::vector<Octets> messages = {definition()};
  for (uint32_t i = 0; i < 1000; ++i) messages.push_back(data(4, i * 4));
  messages.push_back(data(10));
  Octets stream = joined(messages);
  stream.resize(stream.size() - 1);
  ASSERT_TRUE(exporter.send(stream));
  ASSERT_TRUE(wait([&] { return tcp().opened == 1 && exporter.is_delivered(); }));
  stop_all();
  EXPECT_EQ(collected_.records, 4000u);
  EXPECT_EQ(error(decode::DatagramError::truncated_message), 1u);
  EXPECT_EQ(tcp().ended[TcpEnd::stopped], 1u);
  EXPECT_TRUE(exporter.is_closed());
}

/// What is there when the end begins is taken, and of what comes while that is read only what comes with the last of it: whoever sends on would
/// hold up the end for as long as he likes.
TEST_F(TcpTime, TakesAtTheEndWhatIsThereAndNotWhatComesMeanwhile) {
  make();
  const Connection exporter(tcp_port());
  ASSERT_TRUE(exporter.send(definition()));
  ASSERT_TRUE(wait_for_messages(1));

  constexpr size_t kRefillsMax = 64;  // or a test that fails would not end
  constexpr size_t kReadMax = 48'000;  // at a time
  constexpr size_t kMessages = 60, kRecords = 120;
  const Octets message = data(kRecords);
  Octets more;
  for (int i = 0; i < 60; ++i) append(more, message);
  std::binary_semaphore may_read{0};
  std::atomic<bool> is_reading{false};
  size_t refills = 0, refilled = 0;
  const ReadingHook hook([&] {
    if (!is_reading.exchange(true)) return may_read.acquire();  // at work: it has not looked whether it is to stop
    if (refills < kRefillsMax) {
      ++refills;
      refilled += exporter.send_some(more);
    }
  });
  EXPECT_TRUE(exporter.send(message));
  EXPECT_TRUE(wait([&] { return is_reading.load(); }));
  for (size_t i = 1; i < kMessages; ++i) EXPECT_TRUE(exporter.send(message));
  EXPECT_TRUE(wait_for_delivery(exporter));
  const uint64_t there = definition().size() + kMessages * message.size();
  EXPECT_GT(there, kReadMax + definition().size()) << "else nothing would be left for the end";
  {
    const RoleScope role(control_thread);
    plane_->request_stop();
  }
  may_read.release();
  stop_all();
  EXPECT_GT(refilled, 0u) << "else this shows nothing";
  EXPECT_LT(refills, kRefillsMax);
  EXPECT_GE(stats().octets, there);
  EXPECT_LT(stats().octets, there + kReadMax) << "no more than what came with the last of it";
  EXPECT_GE(collected_.records, kMessages * kRecords);
  EXPECT_EQ(tcp().ended[TcpEnd::stopped], 1u);
}

}  // namespace
}  // namespace weir::dataplane::testing
