#include "export/nats_client.h"

#include <fcntl.h>
#include <nats/nats.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>

namespace weir::outbound {
namespace {

// How long ~NatsClient waits for the library's last callback before it leaves the flags to it.
constexpr std::chrono::seconds kCloseWaitMax{10};
// Replies waiting to be taken. One that is turned away is a publish that is sent again.
constexpr size_t kRepliesMax = 262'144;

}  // namespace

std::string text_of_nats(int number) {
  const auto status = static_cast<natsStatus>(number);
  // What the library adds then is where in its source it waited.
  if (status == NATS_TIMEOUT) return "no answer in time (is the broker alive, is its disk full?)";
  const char* detail = nats_GetLastError(nullptr);
  std::string text = natsStatus_GetText(status);
  if (detail == nullptr) return text;
  // `(conn.c:1719): what`: operators have no use for the place.
  if (const char* what = std::strstr(detail, "): "); *detail == '(' && what != nullptr) {
    detail = what + 3;
  }
  if (*detail != '\0' && text != detail) text += std::string(": ") + detail;
  return text;
}

std::string urls_without_secrets(const std::vector<std::string>& urls) {
  std::string all;
  for (const std::string& url : urls) {
    const size_t scheme = url.find("://");
    const size_t begin = scheme == std::string::npos ? 0 : scheme + 3;
    const size_t at = url.rfind('@');
    all += all.empty() ? "" : ", ";
    all +=
        at == std::string::npos || at < begin ? url : url.substr(0, begin) + "***" + url.substr(at);
  }
  return all;
}

void OptionsDeleter::operator()(natsOptions* options) const noexcept {
  natsOptions_Destroy(options);
}

Result<OptionsPtr> make_nats_options(const NatsConfig& config) {
  if (config.urls.empty()) return Error{"nats_url: no server given"};
  natsOptions* raw = nullptr;
  if (const natsStatus s = natsOptions_Create(&raw); s != NATS_OK) {
    return Error{"NATS client library: " + text_of_nats(s)};
  }
  OptionsPtr options(raw);

  std::vector<const char*> servers;
  for (const std::string& url : config.urls) servers.push_back(url.c_str());
  if (const natsStatus s =
          natsOptions_SetServers(raw, servers.data(), static_cast<int>(servers.size()));
      s != NATS_OK) {
    return Error{"nats_url " + urls_without_secrets(config.urls) + ": " + text_of_nats(s)};
  }
  if (!config.creds_file.empty()) {
    // The library would say only at the first connect that it cannot read it.
    const int fd = ::open(config.creds_file.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
      return Error{"nats_creds_file " + config.creds_file + ": " + std::strerror(errno)};
    }
    ::close(fd);
    if (const natsStatus s =
            natsOptions_SetUserCredentialsFromFiles(raw, config.creds_file.c_str(), nullptr);
        s != NATS_OK) {
      return Error{"nats_creds_file " + config.creds_file + ": " + text_of_nats(s)};
    }
  }

  struct Setting {
    const char* name;
    natsStatus status;
  };
  const Setting settings[] = {
      {"name", natsOptions_SetName(raw, config.name.c_str())},
      {"user", config.user.empty()
                   ? NATS_OK
                   : natsOptions_SetUserInfo(raw, config.user.c_str(), config.password.c_str())},
      {"token", config.token.empty() ? NATS_OK : natsOptions_SetToken(raw, config.token.c_str())},
      {"connect time-out", natsOptions_SetTimeout(raw, config.connect_timeout_ms)},
      {"write deadline", natsOptions_SetWriteDeadline(raw, config.write_deadline_ms)},
      {"ping interval", natsOptions_SetPingInterval(raw, config.ping_interval_ms)},
      {"pings out", natsOptions_SetMaxPingsOut(raw, 2)},
      // The defaults give up after 60 attempts and answer OK for what they only buffer.
      {"reconnects", natsOptions_SetMaxReconnect(raw, -1)},
      {"reconnect buffer", natsOptions_SetReconnectBufSize(raw, 0)},
      {"reconnect wait", natsOptions_SetReconnectWait(raw, config.reconnect_wait_ms)},
      {"reconnect jitter", natsOptions_SetReconnectJitter(raw, config.reconnect_jitter_ms,
                                                          2 * config.reconnect_jitter_ms)},
      // A request that is waiting for a lost connection's answer would wait its whole time-out.
      {"fail on disconnect", natsOptions_SetFailRequestsOnDisconnect(raw, true)},
  };
  for (const Setting& setting : settings) {
    if (setting.status != NATS_OK) {
      return Error{std::string("NATS client option ") + setting.name + ": " +
                   text_of_nats(setting.status)};
    }
  }
  return options;
}

// ------------------------------------------------------------------------------------- replies

NatsReply::NatsReply(NatsReply&& other) noexcept : message_(other.message_) {
  other.message_ = nullptr;
}

NatsReply& NatsReply::operator=(NatsReply&& other) noexcept {
  std::swap(message_, other.message_);
  return *this;
}

NatsReply::~NatsReply() { natsMsg_Destroy(message_); }

std::string_view NatsReply::body() const noexcept {
  return {natsMsg_GetData(message_), static_cast<size_t>(natsMsg_GetDataLength(message_))};
}

std::string_view NatsReply::subject() const noexcept { return natsMsg_GetSubject(message_); }

bool NatsReply::no_responders() const noexcept { return natsMsg_IsNoResponders(message_); }

// -------------------------------------------------------------------------------------- client

struct NatsClient::State {
  NatsConfig config;
  natsConnection* connection = nullptr;
  natsSubscription* replies = nullptr;
  std::string inbox;  // "<unique>." in front of the token

  // Set by the library's callbacks.
  std::atomic<bool> connected{false};
  std::atomic<bool> closed{true};
  std::atomic<uint64_t> disconnects{0};
  std::atomic<uint64_t> reconnects{0};
  std::atomic<int64_t> payload_max{0};
  std::mutex mutex;  // guards what follows, and the changes of closed
  std::condition_variable changed;
  std::string trouble;
  std::deque<natsMsg*> waiting;  // replies, in the order they came
  bool subscribed = false;       // a reply may still be handed to on_reply
  bool woken = false;

  ~State() {
    for (natsMsg* message : waiting) natsMsg_Destroy(message);
  }

  void note(const char* text) {
    if (text == nullptr || *text == '\0') return;
    const std::lock_guard lock(mutex);
    trouble = text;
  }

  static void on_disconnected(natsConnection* nc, void* closure) {
    auto* state = static_cast<State*>(closure);
    const char* text = nullptr;
    if (natsConnection_GetLastError(nc, &text) != NATS_OK) state->note(text);
    state->connected.store(false, std::memory_order_release);
    state->disconnects.fetch_add(1, std::memory_order_release);
  }
  static void on_reconnected(natsConnection* nc, void* closure) {
    auto* state = static_cast<State*>(closure);
    state->payload_max.store(natsConnection_GetMaxPayload(nc), std::memory_order_relaxed);
    state->reconnects.fetch_add(1, std::memory_order_release);
    state->connected.store(true, std::memory_order_release);
  }
  static void on_closed(natsConnection* nc, void* closure) {
    auto* state = static_cast<State*>(closure);
    const char* text = nullptr;
    if (natsConnection_GetLastError(nc, &text) != NATS_OK) state->note(text);
    state->connected.store(false, std::memory_order_release);
    const std::lock_guard lock(state->mutex);
    state->closed.store(true, std::memory_order_release);
    state->changed.notify_all();
  }
  // Not a synchronous subscription, which keeps for itself what nobody answered (3.4.1).
  static void on_reply(natsConnection*, natsSubscription*, natsMsg* message, void* closure) {
    auto* state = static_cast<State*>(closure);
    {
      const std::lock_guard lock(state->mutex);
      if (state->waiting.size() < kRepliesMax) {
        state->waiting.push_back(message);
        message = nullptr;
        if (state->waiting.size() == 1) state->changed.notify_all();
      }
    }
    natsMsg_Destroy(message);
  }
  static void on_unsubscribed(void* closure) {
    auto* state = static_cast<State*>(closure);
    const std::lock_guard lock(state->mutex);
    state->subscribed = false;
    state->changed.notify_all();
  }
  static void on_error(natsConnection* nc, natsSubscription*, natsStatus status, void* closure) {
    const char* text = nullptr;
    natsConnection_GetLastError(nc, &text);
    static_cast<State*>(closure)->note(
        text != nullptr && *text != '\0' ? text : natsStatus_GetText(status));
  }
};

NatsClient::NatsClient(std::unique_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<NatsClient>> NatsClient::make(const NatsConfig& config) {
  auto options = make_nats_options(config);
  if (!options) return options.error();
  auto state = std::make_unique<State>();
  state->config = config;
  return std::unique_ptr<NatsClient>(new NatsClient(std::move(state)));
}

NatsClient::~NatsClient() {
  disconnect();
  // Not told that all is over: a callback may still come, so what it writes to has to stay.
  std::unique_lock lock(state_->mutex);
  if (!state_->closed.load(std::memory_order_acquire) || state_->subscribed) {
    lock.unlock();
    static_cast<void>(state_.release());
  }
}

void NatsClient::disconnect() noexcept {
  State& state = *state_;
  state.connected.store(false, std::memory_order_release);
  if (state.connection == nullptr) return;
  natsSubscription_Destroy(state.replies);
  state.replies = nullptr;
  natsConnection_Close(state.connection);
  {
    std::unique_lock lock(state.mutex);
    state.changed.wait_for(lock, kCloseWaitMax,
                           [&] { return state.closed.load() && !state.subscribed; });
    for (natsMsg* message : state.waiting) natsMsg_Destroy(message);
    state.waiting.clear();
  }
  natsConnection_Destroy(state.connection);
  state.connection = nullptr;
}

Result<void> NatsClient::connect() {
  State& state = *state_;
  disconnect();
  auto options = make_nats_options(state.config);
  if (!options) return options.error();
  natsOptions* raw = options->get();
  natsOptions_SetDisconnectedCB(raw, State::on_disconnected, &state);
  natsOptions_SetReconnectedCB(raw, State::on_reconnected, &state);
  natsOptions_SetClosedCB(raw, State::on_closed, &state);
  natsOptions_SetErrorHandler(raw, State::on_error, &state);

  const std::string where = urls_without_secrets(state.config.urls);
  // Before the call: it may be lost again before the call has returned.
  state.closed.store(false, std::memory_order_release);
  state.connected.store(true, std::memory_order_release);
  natsStatus s = natsConnection_Connect(&state.connection, raw);
  if (s != NATS_OK) {
    state.connection = nullptr;
    state.connected.store(false, std::memory_order_release);
    state.closed.store(true, std::memory_order_release);
    return Error{"NATS server " + where + ": " + text_of_nats(s)};
  }
  state.payload_max.store(natsConnection_GetMaxPayload(state.connection),
                          std::memory_order_relaxed);

  natsInbox* inbox = nullptr;
  s = natsInbox_Create(&inbox);
  if (s == NATS_OK) {
    state.inbox = std::string(inbox) + ".";
    natsInbox_Destroy(inbox);
    s = natsConnection_Subscribe(&state.replies, state.connection, (state.inbox + "*").c_str(),
                                 State::on_reply, &state);
  }
  // The default drops what exceeds 65536 waiting replies; ours are bounded by what we publish.
  if (s == NATS_OK) s = natsSubscription_SetPendingLimits(state.replies, -1, -1);
  if (s == NATS_OK) {
    {
      const std::lock_guard lock(state.mutex);
      state.subscribed = true;
    }
    s = natsSubscription_SetOnCompleteCB(state.replies, State::on_unsubscribed, &state);
    if (s != NATS_OK) State::on_unsubscribed(&state);
  }
  if (s != NATS_OK) {
    Error error{"NATS server " + where + ": subscription for replies: " + text_of_nats(s)};
    disconnect();
    return error;
  }
  return {};
}

bool NatsClient::connected() const noexcept {
  return state_->connected.load(std::memory_order_acquire);
}
bool NatsClient::closed() const noexcept { return state_->closed.load(std::memory_order_acquire); }
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
  if (state.connection == nullptr) return Sent::not_connected;
  char reply[128];
  const size_t inbox_octets = std::min(state.inbox.size(), sizeof reply - 24);
  std::memcpy(reply, state.inbox.data(), inbox_octets);
  *std::to_chars(reply + inbox_octets, reply + sizeof reply - 1, token, 16).ptr = '\0';

  natsMsg* message = nullptr;
  natsStatus s =
      natsMsg_Create(&message, subject, reply, reinterpret_cast<const char*>(payload.data()),
                     static_cast<int>(payload.size()));
  for (const MessageHeader& header : headers) {
    if (s != NATS_OK) break;
    s = natsMsgHeader_Set(message, header.name, header.value);
  }
  if (s == NATS_OK) s = natsConnection_PublishMsg(state.connection, message);
  natsMsg_Destroy(message);

  switch (s) {
    case NATS_OK: return Sent::sent;
    case NATS_MAX_PAYLOAD:
      state.payload_max.store(natsConnection_GetMaxPayload(state.connection),
                              std::memory_order_relaxed);
      return Sent::too_large;
    case NATS_INVALID_ARG:
    case NATS_INVALID_SUBJECT:
    case NATS_NO_SERVER_SUPPORT: state.note(text_of_nats(s).c_str()); return Sent::refused;
    default: return Sent::not_connected;
  }
}

NatsReply NatsClient::next_reply(int wait_ms) {
  State& state = *state_;
  std::unique_lock lock(state.mutex);
  if (state.waiting.empty() && wait_ms > 0) {
    state.changed.wait_for(lock, std::chrono::milliseconds(wait_ms),
                           [&] { return !state.waiting.empty() || state.woken; });
  }
  if (wait_ms > 0) state.woken = false;
  if (state.waiting.empty()) return {};
  natsMsg* message = state.waiting.front();
  state.waiting.pop_front();
  return NatsReply(message);
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
  if (state.connection == nullptr) return Error{"not connected"};
  natsMsg* message = nullptr;
  const natsStatus s = natsConnection_RequestString(&message, state.connection, subject.c_str(),
                                                    body.c_str(), timeout_ms);
  if (s == NATS_NO_RESPONDERS) return NatsReply();
  if (s != NATS_OK) return Error{subject + ": " + text_of_nats(s)};
  return NatsReply(message);
}

}  // namespace weir::outbound
