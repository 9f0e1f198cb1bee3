#include "export/nats_client.h"

#include <nats/nats.h>

#include <atomic>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>

#include "base/clock.h"
#include "export/nats_options.h"

namespace weir::outbound {
namespace {

// How long ~NatsClient waits for the library's last callback before it leaves the flags to it.
constexpr std::chrono::seconds kCloseWaitMax{10};
// Replies waiting to be taken. One that is turned away is a publish that is sent again.
constexpr size_t kRepliesMax = 262'144;
// So long the library tries by itself, which knows servers that no URL names; a try of ours says why not.
constexpr uint64_t kReconnectPatienceNs = 10 * kNsPerSec;
constexpr uint64_t kRenewalWaitNs = 30 * kNsPerSec;  // after a renewal that failed
constexpr uint64_t kRetiredForNs = 10 * kNsPerSec;   // for answers that are still under way

}  // namespace

struct NatsClient::State {
  State(const NatsConfig& nats, std::shared_ptr<Waker> to_tell);
  ~State();

  void note(const char* text) {
    if (text == nullptr || *text == '\0') return;
    const std::lock_guard lock(mutex);
    trouble = text;
  }
  /// Until one is waiting, or somebody woke us; at most `wait_ms`.
  void await_reply(std::unique_lock<std::mutex>& lock, int wait_ms);
  /// Ends `link`, and forgets it where the library will not say that it has.
  void end(std::unique_ptr<Link> link) noexcept;

  const NatsConfig config;
  const std::shared_ptr<Waker> waker;
  /// False where the server has not said: while the library takes up a connection anew it knows 0 for a moment, for which
  /// every message is too large.
  bool learn_payload_max(natsConnection* nc) noexcept {
    const int64_t max = natsConnection_GetMaxPayload(nc);
    if (max > 0) payload_max.store(max, std::memory_order_relaxed);
    return max > 0;
  }

  std::unique_ptr<Link> link;     // what is published on; null: none was made yet
  std::unique_ptr<Link> retired;  // nothing is sent on it any more; its answers still come
  uint64_t retired_until_ns = 0;
  uint64_t lost_since_ns = 0;  // 0: not lost

  // The files that the connection was made from.
  FileWatch watch;
  uint64_t next_renewal_ns = 0;

  std::atomic<uint64_t> disconnects{0};
  std::atomic<uint64_t> reconnects{0};
  std::atomic<uint64_t> renewals{0};
  std::atomic<int64_t> payload_max{0};
  std::mutex mutex;  // guards what follows, and the changes of Link::closed
  std::condition_variable changed;
  std::string trouble;
  std::string renewal_trouble;
  std::deque<natsMsg*> waiting;  // replies, in the order they came
  bool woken = false;
  bool is_held = false;  // the library may still call back: never to be freed
};

/// One connection of the library. Its callbacks have it as their closure.
struct NatsClient::Link {
  explicit Link(State& owner) : state(owner) {}

  State& state;
  natsConnection* connection = nullptr;
  natsSubscription* replies = nullptr;
  std::string inbox;  // "<unique>." in front of the token
  std::atomic<bool> connected{false};
  std::atomic<bool> closed{true};
  std::atomic<bool> is_retired{false};  // what becomes of it is no news
  bool subscribed = false;              // a reply may still be handed to on_reply; state.mutex

  static void on_disconnected(natsConnection* nc, void* closure) {
    auto* link = static_cast<Link*>(closure);
    link->connected.store(false, std::memory_order_release);
    if (link->is_retired.load(std::memory_order_acquire)) return;
    const char* text = nullptr;
    if (natsConnection_GetLastError(nc, &text) != NATS_OK) link->state.note(text);
    link->state.disconnects.fetch_add(1, std::memory_order_release);
  }
  static void on_reconnected(natsConnection* nc, void* closure) {
    auto* link = static_cast<Link*>(closure);
    if (!link->is_retired.load(std::memory_order_acquire)) {
      link->state.learn_payload_max(nc);
      link->state.reconnects.fetch_add(1, std::memory_order_release);
    }
    link->connected.store(true, std::memory_order_release);
  }
  static void on_closed(natsConnection* nc, void* closure) {
    auto* link = static_cast<Link*>(closure);
    State& state = link->state;
    const char* text = nullptr;
    if (!link->is_retired.load(std::memory_order_acquire) &&
        natsConnection_GetLastError(nc, &text) != NATS_OK) {
      state.note(text);
    }
    link->connected.store(false, std::memory_order_release);
    const std::lock_guard lock(state.mutex);
    link->closed.store(true, std::memory_order_release);
    state.changed.notify_all();
  }
  // Not a synchronous subscription, which keeps for itself what nobody answered (3.4.1).
  static void on_reply(natsConnection*, natsSubscription*, natsMsg* message, void* closure) {
    State& state = static_cast<Link*>(closure)->state;
    bool is_first = false;
    {
      const std::lock_guard lock(state.mutex);
      if (state.waiting.size() < kRepliesMax) {
        state.waiting.push_back(message);
        message = nullptr;
        is_first = state.waiting.size() == 1;
        if (is_first) state.changed.notify_all();
      }
    }
    if (is_first && state.waker != nullptr) state.waker->wake();
    natsMsg_Destroy(message);
  }
  static void on_unsubscribed(void* closure) {
    auto* link = static_cast<Link*>(closure);
    const std::lock_guard lock(link->state.mutex);
    link->subscribed = false;
    link->state.changed.notify_all();
  }
  static void on_error(natsConnection* nc, natsSubscription*, natsStatus status, void* closure) {
    const char* text = nullptr;
    natsConnection_GetLastError(nc, &text);
    static_cast<Link*>(closure)->state.note(
        text != nullptr && *text != '\0' ? text : natsStatus_GetText(status));
  }

  Result<void> open() {
    auto options = make_nats_options(state.config);
    if (!options) return options.error();
    natsOptions* raw = options->get();
    natsOptions_SetDisconnectedCB(raw, on_disconnected, this);
    natsOptions_SetReconnectedCB(raw, on_reconnected, this);
    natsOptions_SetClosedCB(raw, on_closed, this);
    natsOptions_SetErrorHandler(raw, on_error, this);

    const std::string where = "NATS server " + urls_without_secrets(state.config.urls) + ": ";
    // Before the call: it may be lost again before the call has returned.
    closed.store(false, std::memory_order_release);
    connected.store(true, std::memory_order_release);
    auto s = static_cast<natsStatus>(connect_to_nats(&connection, raw, state.config));
    if (s != NATS_OK) {
      connection = nullptr;
      connected.store(false, std::memory_order_release);
      closed.store(true, std::memory_order_release);
      return Error{where + explain_failed_connect(s, state.config)};
    }

    natsInbox* own = nullptr;
    s = natsInbox_Create(&own);
    if (s == NATS_OK) {
      inbox = std::string(own) + ".";
      natsInbox_Destroy(own);
      s = natsConnection_Subscribe(&replies, connection, (inbox + "*").c_str(), on_reply, this);
    }
    // The default drops what exceeds 65536 waiting replies; ours are bounded by what we publish.
    if (s == NATS_OK) s = natsSubscription_SetPendingLimits(replies, -1, -1);
    if (s == NATS_OK) {
      {
        const std::lock_guard lock(state.mutex);
        subscribed = true;
      }
      s = natsSubscription_SetOnCompleteCB(replies, on_unsubscribed, this);
      if (s != NATS_OK) on_unsubscribed(this);
    }
    if (s != NATS_OK) return Error{where + "subscription for replies: " + text_of_nats(s)};
    return {};
  }

  /// Whether all is over: nothing calls back any more.
  bool close() noexcept {
    connected.store(false, std::memory_order_release);
    if (connection == nullptr) return true;
    natsSubscription_Destroy(replies);
    replies = nullptr;
    natsConnection_Close(connection);
    bool is_over = false;
    {
      std::unique_lock lock(state.mutex);
      is_over =
          state.changed.wait_for(lock, kCloseWaitMax, [&] { return closed.load() && !subscribed; });
    }
    natsConnection_Destroy(connection);
    connection = nullptr;
    return is_over;
  }
};

NatsClient::State::State(const NatsConfig& nats, std::shared_ptr<Waker> to_tell)
    : config(nats), waker(std::move(to_tell)), watch(files_of(nats)) {}

NatsClient::State::~State() {
  for (natsMsg* message : waiting) natsMsg_Destroy(message);
}

void NatsClient::State::end(std::unique_ptr<Link> ending) noexcept {
  if (ending == nullptr || ending->close()) return;
  // A callback may still come, so what it writes to has to stay.
  is_held = true;
  static_cast<void>(ending.release());
}

NatsClient::NatsClient(std::unique_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<NatsClient>> NatsClient::make(const NatsConfig& config, std::shared_ptr<Waker> waker) {
  auto options = make_nats_options(config);
  if (!options) return options.error();
  auto state = std::make_unique<State>(config, std::move(waker));
  return std::unique_ptr<NatsClient>(new NatsClient(std::move(state)));
}

NatsClient::~NatsClient() {
  state_->end(std::move(state_->retired));
  state_->end(std::move(state_->link));
  if (state_->is_held) static_cast<void>(state_.release());
}

Result<void> NatsClient::connect() {
  State& state = *state_;
  state.end(std::move(state.retired));
  state.end(std::move(state.link));
  state.watch.begin_reading();  // what changes meanwhile is seen as a change
  auto made = std::make_unique<Link>(state);
  if (auto opened = made->open(); !opened) {
    state.end(std::move(made));
    return opened.error();
  }
  if (state.watch.end_reading()) state.renewals.fetch_add(1, std::memory_order_release);
  take(std::move(made));
  return {};
}

void NatsClient::take(std::unique_ptr<Link> link) {
  State& state = *state_;
  state.learn_payload_max(link->connection);
  state.link = std::move(link);
  state.lost_since_ns = 0;
  const std::lock_guard lock(state.mutex);
  state.renewal_trouble.clear();
}

void NatsClient::keep_fresh(uint64_t now_ns) {
  State& state = *state_;
  if (state.retired != nullptr &&
      (now_ns >= state.retired_until_ns || !state.retired->connected.load())) {
    state.end(std::move(state.retired));
  }
  if (closed()) return;
  if (connected()) {
    state.lost_since_ns = 0;
  } else if (state.lost_since_ns == 0) {
    state.lost_since_ns = now_ns;
  } else if (now_ns - state.lost_since_ns >= kReconnectPatienceNs) {
    state.end(std::move(state.link));
    return;
  }

  if (!state.watch.has_changed(now_ns)) return;
  if (state.watch.was_tried() && now_ns < state.next_renewal_ns) return;
  state.watch.begin_reading();
  auto made = std::make_unique<Link>(state);
  if (auto opened = made->open(); !opened) {
    made->is_retired.store(true, std::memory_order_release);
    state.end(std::move(made));
    state.next_renewal_ns = steady_clock_ns() + kRenewalWaitNs;
    const std::lock_guard lock(state.mutex);
    state.renewal_trouble =
        "the files of certificates or credentials have changed, and no connection can be made with "
        "the new ones; the one with the old ones goes on: " +
        opened.error().message;
    return;
  }
  if (state.watch.end_reading()) state.renewals.fetch_add(1, std::memory_order_release);
  state.end(std::move(state.retired));
  const bool was_connected = connected();
  state.link->is_retired.store(true, std::memory_order_release);
  state.retired = std::move(state.link);
  state.retired_until_ns = was_connected ? steady_clock_ns() + kRetiredForNs : 0;
  take(std::move(made));
  state.reconnects.fetch_add(1, std::memory_order_release);
}

std::string NatsClient::renewal_trouble() const {
  const std::lock_guard lock(state_->mutex);
  return state_->renewal_trouble;
}
uint64_t NatsClient::renewals() const noexcept {
  return state_->renewals.load(std::memory_order_acquire);
}

bool NatsClient::connected() const noexcept {
  return state_->link != nullptr && state_->link->connected.load(std::memory_order_acquire);
}
bool NatsClient::closed() const noexcept {
  return state_->link == nullptr || state_->link->closed.load(std::memory_order_acquire);
}
uint64_t NatsClient::disconnects() const noexcept {
  return state_->disconnects.load(std::memory_order_acquire);
}
uint64_t NatsClient::reconnects() const noexcept {
  return state_->reconnects.load(std::memory_order_acquire);
}

std::string NatsClient::last_trouble() const {
  const std::lock_guard lock(state_->mutex);
  return state_->trouble;
}

size_t NatsClient::payload_max() const noexcept {
  const int64_t max = state_->payload_max.load(std::memory_order_relaxed);
  return max > 0 ? static_cast<size_t>(max) : 0;
}

Sent NatsClient::publish(const char* subject, uint64_t token, std::span<const uint8_t> payload,
                         std::span<const MessageHeader> headers) {
  State& state = *state_;
  if (state.link == nullptr) return Sent::not_connected;
  const Link& link = *state.link;
  char reply[128];
  const size_t inbox_octets = std::min(link.inbox.size(), sizeof reply - 24);
  std::memcpy(reply, link.inbox.data(), inbox_octets);
  *std::to_chars(reply + inbox_octets, reply + sizeof reply - 1, token, 16).ptr = '\0';

  natsMsg* message = nullptr;
  natsStatus s =
      natsMsg_Create(&message, subject, reply, reinterpret_cast<const char*>(payload.data()),
                     static_cast<int>(payload.size()));
  for (const MessageHeader& header : headers) {
    if (s != NATS_OK) break;
    s = natsMsgHeader_Set(message, header.name, header.value);
  }
  if (s == NATS_OK) s = natsConnection_PublishMsg(link.connection, message);
  natsMsg_Destroy(message);

  switch (s) {
    case NATS_OK: return Sent::sent;
    case NATS_MAX_PAYLOAD:
      return state.learn_payload_max(link.connection) ? Sent::too_large : Sent::not_connected;
    case NATS_INVALID_ARG:
    case NATS_INVALID_SUBJECT:
    case NATS_NO_SERVER_SUPPORT: state.note(text_of_nats(s).c_str()); return Sent::refused;
    default: return Sent::not_connected;
  }
}

Sent NatsClient::send(std::string_view subject, std::string_view payload) {
  State& state = *state_;
  // What is sent while the library reconnects would lie in its buffer, and be refused when that is full.
  if (state.link == nullptr || !connected()) return Sent::not_connected;
  const std::string to(subject);
  const natsStatus s = natsConnection_Publish(state.link->connection, to.c_str(), payload.data(),
                                              static_cast<int>(payload.size()));
  if (s == NATS_OK) return Sent::sent;
  if (s != NATS_INVALID_ARG && s != NATS_INVALID_SUBJECT) return Sent::not_connected;
  state.note(text_of_nats(s).c_str());
  return Sent::refused;
}

bool NatsClient::flush(int timeout_ms) noexcept {
  return state_->link != nullptr &&
         natsConnection_FlushTimeout(state_->link->connection, timeout_ms) == NATS_OK;
}

void NatsClient::State::await_reply(std::unique_lock<std::mutex>& lock, int wait_ms) {
  if (wait_ms <= 0) return;
  if (waiting.empty()) {
    changed.wait_for(lock, std::chrono::milliseconds(wait_ms),
                     [&] { return !waiting.empty() || woken; });
  }
  woken = false;
}

void NatsClient::take_replies(std::vector<NatsReply>& replies, int wait_ms) {
  State& state = *state_;
  std::unique_lock lock(state.mutex);
  state.await_reply(lock, wait_ms);
  for (natsMsg* message : state.waiting) replies.emplace_back(message);
  state.waiting.clear();
}

NatsReply NatsClient::next_reply(int wait_ms) {
  State& state = *state_;
  std::unique_lock lock(state.mutex);
  state.await_reply(lock, wait_ms);
  if (state.waiting.empty()) return {};
  natsMsg* message = state.waiting.front();
  state.waiting.pop_front();
  return NatsReply(message);
}

bool NatsClient::has_replies() const noexcept {
  const std::lock_guard lock(state_->mutex);
  return !state_->waiting.empty();
}

void NatsClient::wake() noexcept {
  const std::lock_guard lock(state_->mutex);
  state_->woken = true;
  state_->changed.notify_all();
}

bool NatsClient::token_of(const NatsReply& reply, uint64_t& token) noexcept {
  const std::string_view subject = reply.subject();
  const size_t dot = subject.rfind('.');
  if (dot == std::string_view::npos) return false;
  const char* end = subject.data() + subject.size();
  const auto parsed = std::from_chars(subject.data() + dot + 1, end, token, 16);
  return parsed.ec == std::errc{} && parsed.ptr == end;
}

Result<NatsReply> NatsClient::request(const std::string& subject, const std::string& body,
                                      int timeout_ms) {
  State& state = *state_;
  if (state.link == nullptr) return Error{"not connected"};
  natsMsg* message = nullptr;
  const natsStatus s = natsConnection_RequestString(&message, state.link->connection,
                                                    subject.c_str(), body.c_str(), timeout_ms);
  if (s == NATS_NO_RESPONDERS) return NatsReply();
  if (s != NATS_OK) return Error{subject + ": " + text_of_nats(s)};
  return NatsReply(message);
}

}  // namespace weir::outbound
