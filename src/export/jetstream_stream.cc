#include "export/jetstream_stream.h"

#include <algorithm>
#include <optional>

#include "export/jetstream_api.h"

namespace weir::outbound {
namespace {

// JetStream's own error codes.
constexpr int kSubjectOverlap = 10065;
constexpr int kNoStorage = 10047;

constexpr size_t kSubjectTokensMax = 64;
constexpr size_t kOwnersMax = 16;  // streams that are asked about before something is published into them

std::vector<std::string> strings_in(const Json& object, const char* key) {
  std::vector<std::string> strings;
  const auto list = object.is_object() ? object.find(key) : object.end();
  if (list == object.end() || !list->is_array()) return strings;
  for (const Json& item : *list) {
    if (item.is_string()) strings.push_back(item.get<std::string>());
  }
  return strings;
}

/// A list that we would not understand must not be replaced by ours.
bool tells_subjects(const Json& config) {
  const auto subjects = config.find("subjects");
  return subjects == config.end() || subjects->is_null() ||
         (subjects->is_array() && strings_in(config, "subjects").size() == subjects->size());
}

std::string joined(const std::vector<std::string>& items) {
  std::string all;
  for (const std::string& item : items) all += (all.empty() ? "" : ",") + item;
  return all;
}

Json creation_of(const StreamConfig& config) {
  // The server refuses a duplicate window longer than the messages' age.
  const uint64_t window = config.max_age_ns == 0
                              ? config.duplicate_window_ns
                              : std::min(config.duplicate_window_ns, config.max_age_ns);
  return Json{{"name", config.name},
              {"subjects", config.subjects},
              {"retention", name_of(config.retention)},
              {"max_consumers", -1},
              {"max_msgs", -1},
              {"max_msgs_per_subject",
               config.messages_per_subject == 0 ? Json(-1) : Json(config.messages_per_subject)},
              {"max_bytes", config.max_bytes == 0 ? Json(-1) : Json(config.max_bytes)},
              {"max_age", config.max_age_ns},
              {"max_msg_size", -1},
              {"discard", "old"},
              {"storage", name_of(config.storage)},
              {"num_replicas", config.replicas},
              {"duplicate_window", window}};
}

/// A stream that has one of our subjects.
struct Owner {
  std::string name;
  std::string subject;  // ours
  Json config;          // null where the server did not tell it
};

/// At most `owners_max` of them; none but those that the server tells of in time.
std::vector<Owner> owners_of(NatsClient& client, const StreamConfig& config, size_t owners_max, int timeout_ms) {
  std::vector<Owner> owners;
  for (const std::string& subject : config.subjects) {
    const ApiAnswer names =
        call_jetstream(client, "STREAM.NAMES", Json{{"subject", subject}}.dump(), timeout_ms);
    if (names.state == ApiAnswer::State::no_answer) return owners;
    if (names.state != ApiAnswer::State::ok) continue;
    for (std::string& name : strings_in(names.body, "streams")) {
      if (owners.size() == owners_max) return owners;
      const bool known = std::any_of(owners.begin(), owners.end(), [&](const Owner& o) { return o.name == name; });
      if (name == config.name || known) continue;
      Owner owner{std::move(name), subject, {}};
      const ApiAnswer info = call_jetstream(client, "STREAM.INFO." + owner.name, "", timeout_ms);
      if (info.state == ApiAnswer::State::ok && info.body.contains("config")) owner.config = info.body["config"];
      owners.push_back(std::move(owner));
    }
  }
  return owners;
}

/// Which stream has one of our subjects, and what the operator may do about it.
std::string explain_overlap(NatsClient& client, const StreamConfig& config, int timeout_ms) {
  for (const Owner& owner : owners_of(client, config, 1, timeout_ms)) {
    std::vector<std::string> keeps;
    for (std::string& theirs : strings_in(owner.config, "subjects")) {
      const bool ours = std::any_of(config.subjects.begin(), config.subjects.end(),
                                    [&](const std::string& s) { return overlap(theirs, s); });
      if (!ours) keeps.push_back(std::move(theirs));
    }
    const std::string command =
        keeps.empty() ? "nats stream rm " + owner.name + " (which deletes what it holds)"
                      : "nats stream edit " + owner.name + " --subjects=" + joined(keeps);
    return "stream " + config.name + ": subject " + owner.subject + " belongs to stream " + owner.name +
           "; nothing is published and nothing was changed. Either give the subject up there: " + command +
           ", or publish into it: stream_adopt: true in the collector's configuration, the name " + owner.name +
           " for the stream in another program's";
  }
  return "stream " + config.name + ": one of the subjects " + joined(config.subjects) +
         " belongs to another stream; nothing is published and nothing was changed";
}

/// What a stream that exists asks of who publishes into it.
void heed(const std::string& name, const Json& stream, StreamCheck& check) {
  const auto no_ack = stream.is_object() ? stream.find("no_ack") : stream.end();
  if (no_ack != stream.end() && no_ack->is_boolean() && no_ack->get<bool>()) {
    check.state = StreamCheck::State::refused;
    check.trouble = "stream " + name +
                    " acknowledges nothing (no_ack), so that nobody knows what it has; nothing is published: nats stream edit " +
                    name + " --ack";
  }
  const int64_t octets_max = number_in(stream, "max_msg_size").value_or(-1);
  if (octets_max <= 0) return;
  const auto limit = static_cast<uint64_t>(octets_max);
  check.message_octets_max = check.message_octets_max == 0 ? limit : std::min(check.message_octets_max, limit);
}

/// Others have our subjects, and we publish into them as they are.
StreamCheck adopt_owners(NatsClient& client, const StreamConfig& config, int timeout_ms) {
  StreamCheck check;
  check.state = StreamCheck::State::ready;
  for (const Owner& owner : owners_of(client, config, kOwnersMax, timeout_ms)) heed(owner.name, owner.config, check);
  return check;
}

StreamCheck refused_or_unknown(NatsClient& client, const StreamConfig& config,
                               const ApiAnswer& answer, const std::string& what, int timeout_ms) {
  StreamCheck check;
  switch (answer.state) {
    case ApiAnswer::State::no_jetstream:
      check.state = StreamCheck::State::refused;
      check.trouble = "stream " + config.name +
                      ": the NATS server has no JetStream (start it with -js, or give the account "
                      "JetStream)";
      return check;
    case ApiAnswer::State::error:
      if (answer.error.err_code == kSubjectOverlap) {
        if (config.overlap == SubjectOverlap::adopt) return adopt_owners(client, config, timeout_ms);
        check.state = StreamCheck::State::refused;
        check.trouble = explain_overlap(client, config, timeout_ms);
        return check;
      }
      check.state = StreamCheck::State::refused;
      check.trouble = "stream " + config.name + ": " + what + ": " + answer.error.description +
                      " (JetStream error " + std::to_string(answer.error.err_code) + ")";
      if (answer.error.err_code == kNoStorage) {
        check.trouble += "; stream_max_bytes (" + std::to_string(config.max_bytes) +
                         ") is more than the server may still store: lower it, or raise the "
                         "server's max_file_store";
      }
      return check;
    case ApiAnswer::State::ok:
    case ApiAnswer::State::no_answer: break;
  }
  check.state = StreamCheck::State::unknown;
  check.trouble = "stream " + config.name + ": " + what + ": " + answer.error.description;
  return check;
}

/// `theirs` with ours added; nothing when it has them all.
std::optional<std::vector<std::string>> merged(std::vector<std::string> theirs,
                                               const std::vector<std::string>& ours) {
  bool changed = false;
  for (const std::string& subject : ours) {
    const bool there = std::any_of(theirs.begin(), theirs.end(),
                                   [&](const std::string& p) { return covers(p, subject); });
    if (there) continue;
    // Within one stream no subject may stand twice, so what the new one covers goes.
    std::erase_if(theirs, [&](const std::string& s) { return covers(subject, s); });
    theirs.push_back(subject);
    changed = true;
  }
  if (!changed) return std::nullopt;
  return theirs;
}

}  // namespace

StreamCheck ensure_stream(NatsClient& client, const StreamConfig& config, int timeout_ms) {
  ApiAnswer answer = call_jetstream(client, "STREAM.INFO." + config.name, "", timeout_ms);
  bool created = false;
  if (answer.state == ApiAnswer::State::error && answer.error.err_code == kStreamNotFound) {
    answer = call_jetstream(client, "STREAM.CREATE." + config.name, creation_of(config).dump(), timeout_ms);
    if (answer.state != ApiAnswer::State::ok) {
      return refused_or_unknown(client, config, answer, "could not be created", timeout_ms);
    }
    created = true;
  }
  const auto found = answer.body.is_object() ? answer.body.find("config") : answer.body.end();
  const bool has_config = found != answer.body.end() && found->is_object() && tells_subjects(*found);
  if (answer.state == ApiAnswer::State::ok && !has_config) {
    answer.error.description = "the server's answer has no configuration of the stream that makes sense";
  }
  if (answer.state != ApiAnswer::State::ok || !has_config) {
    return refused_or_unknown(client, config, answer, "could not be looked up", timeout_ms);
  }

  Json stream = answer.body["config"];
  StreamCheck check;
  check.state = StreamCheck::State::ready;
  check.created = created;
  heed(config.name, stream, check);
  if (check.state == StreamCheck::State::refused) return check;
  if (auto subjects =
          merged(strings_in(stream, "subjects"), config.subjects)) {
    stream["subjects"] = *subjects;
    answer = call_jetstream(client, "STREAM.UPDATE." + config.name, stream.dump(), timeout_ms);
    if (answer.state != ApiAnswer::State::ok) {
      return refused_or_unknown(client, config, answer, "our subjects could not be added",
                                timeout_ms);
    }
    check.extended = true;
  }
  return check;
}

// ------------------------------------------------------------------------------------ subjects

namespace {

/// The next token of `rest`, which loses it and its dot.
std::string_view take_token(std::string_view& rest) noexcept {
  const size_t dot = rest.find('.');
  const std::string_view token = rest.substr(0, dot);
  rest = dot == std::string_view::npos ? std::string_view{} : rest.substr(dot + 1);
  return token;
}

}  // namespace

bool covers(std::string_view pattern, std::string_view subject) noexcept {
  for (size_t i = 0; i < kSubjectTokensMax; ++i) {
    if (pattern.empty() || subject.empty()) return pattern.empty() && subject.empty();
    const std::string_view p = take_token(pattern);
    const std::string_view s = take_token(subject);
    if (p == ">") return true;
    if (s == ">") return false;
    if (p != "*" && p != s) return false;
  }
  return false;
}

bool overlap(std::string_view a, std::string_view b) noexcept {
  for (size_t i = 0; i < kSubjectTokensMax; ++i) {
    if (a.empty() || b.empty()) return a.empty() && b.empty();
    const std::string_view x = take_token(a);
    const std::string_view y = take_token(b);
    if (x == ">" || y == ">") return true;
    if (x != "*" && y != "*" && x != y) return false;
  }
  return false;
}

// ----------------------------------------------------------------------------- acknowledgements

namespace {

/// Takes what we want of an answer without building a tree: this runs for each message.
class AckReader : public nlohmann::json_sax<Json> {
 public:
  explicit AckReader(PublishAck& ack) : ack_(ack) {}

  bool key(string_t& key) override {
    key_ = Key::other;
    if (depth_ == 1) {
      if (key == "seq") key_ = Key::seq;
      if (key == "duplicate") key_ = Key::duplicate;
      if (key == "error") key_ = Key::error;
    } else if (depth_ == 2 && in_error_) {
      if (key == "code") key_ = Key::code;
      if (key == "err_code") key_ = Key::err_code;
      if (key == "description") key_ = Key::description;
    }
    return true;
  }
  bool start_object(size_t) override {
    if (++depth_ == 2) in_error_ = key_ == Key::error;
    has_error_ = has_error_ || (depth_ == 2 && in_error_);
    return depth_ <= kDepthMax;
  }
  bool end_object() override {
    --depth_;
    return true;
  }
  bool number_unsigned(number_unsigned_t value) override {
    if (key_ == Key::seq) has_sequence_ = value > 0;
    if (key_ == Key::code) ack_.code = static_cast<int>(std::min<uint64_t>(value, 1 << 20));
    if (key_ == Key::err_code) ack_.err_code = static_cast<int>(std::min<uint64_t>(value, 1 << 20));
    return true;
  }
  bool boolean(bool value) override {
    if (key_ == Key::duplicate) ack_.duplicate = value;
    return true;
  }
  bool string(string_t& value) override {
    if (key_ == Key::description) ack_.description = value;
    return true;
  }
  bool null() override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_array(size_t) override { return ++depth_ <= kDepthMax; }
  bool end_array() override {
    --depth_;
    return true;
  }
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception&) override {
    return false;
  }

  bool has_error() const { return has_error_; }
  bool has_sequence() const { return has_sequence_; }

 private:
  enum class Key : uint8_t { other, seq, duplicate, error, code, err_code, description };
  static constexpr int kDepthMax = 16;

  PublishAck& ack_;
  Key key_ = Key::other;
  int depth_ = 0;
  bool in_error_ = false;
  bool has_error_ = false;
  bool has_sequence_ = false;
};

}  // namespace

PublishAck parse_publish_ack(std::string_view json) {
  PublishAck ack;
  AckReader reader(ack);
  const bool parsed = Json::sax_parse(json.begin(), json.end(), &reader);
  // An error comes with a sequence (0) too, so it is looked at first.
  ack.positive = parsed && !reader.has_error() && reader.has_sequence();
  ack.valid = parsed && (ack.positive || reader.has_error());
  return ack;
}

}  // namespace weir::outbound
