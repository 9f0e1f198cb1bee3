#include "export/jetstream_api.h"

namespace weir::outbound {

std::optional<int64_t> number_in(const Json& object, const char* key) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  if (found == object.end() || !found->is_number_integer()) return std::nullopt;
  return found->get<int64_t>();
}

std::optional<std::string> text_in(const Json& object, const char* key) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  if (found == object.end() || !found->is_string()) return std::nullopt;
  return found->get<std::string>();
}

const Json* object_in(const Json& object, const char* key) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  return found == object.end() || !found->is_object() ? nullptr : &*found;
}

ApiAnswer call_jetstream(NatsClient& client, const std::string& operation, const std::string& body, int timeout_ms) {
  ApiAnswer answer;
  const auto reply = client.request("$JS.API." + operation, body, timeout_ms);
  if (!reply) {
    answer.error.description = reply.error().message;
    return answer;
  }
  if (!*reply || reply->no_responders()) {
    answer.state = ApiAnswer::State::no_jetstream;
    return answer;
  }
  answer.body = Json::parse(reply->body(), nullptr, /*allow_exceptions=*/false);
  if (!answer.body.is_object()) {
    answer.error.description = "$JS.API." + operation + ": answer is not JSON";
    return answer;
  }
  if (const auto error = answer.body.find("error"); error != answer.body.end()) {
    answer.state = ApiAnswer::State::error;
    answer.error.err_code = static_cast<int>(number_in(*error, "err_code").value_or(0));
    answer.error.description = text_in(*error, "description").value_or("no description");
    return answer;
  }
  answer.state = ApiAnswer::State::ok;
  return answer;
}

}  // namespace weir::outbound
