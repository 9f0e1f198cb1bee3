// Replies of a NATS server, and what the client library says of itself, in words.
#include <nats/nats.h>

#include <cstring>
#include <utility>

#include "export/nats_client.h"

namespace weir::outbound {

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

std::string_view NatsReply::reply() const noexcept {
  const char* const subject = natsMsg_GetReply(message_);
  return subject != nullptr ? std::string_view(subject) : std::string_view();
}

const char* NatsReply::header(const char* name) const noexcept {
  const char* value = nullptr;
  return natsMsgHeader_Get(message_, name, &value) == NATS_OK ? value : nullptr;
}

bool NatsReply::no_responders() const noexcept { return natsMsg_IsNoResponders(message_); }

}  // namespace weir::outbound
