#include "export/http_client.h"

#include <curl/curl.h>

#include <algorithm>
#include <cassert>

namespace weir::outbound {
namespace {

constexpr size_t kTokenOctetsMax = 16 << 10;
constexpr long kCaCacheSecs = 60;

/// One line that can be shown: whatever the server sends.
void append_printable(std::string& out, const char* text, size_t octets) {
  for (size_t i = 0; i < octets && out.size() < kSaidOctetsMax; ++i) {
    const char c = text[i];
    const bool is_plain = c > 0x20 && c < 0x7F;
    if (is_plain) {
      out += c;
    } else if (!out.empty() && out.back() != ' ') {
      out += ' ';
    }
  }
}

std::string part_of(CURLU* url, CURLUPart part) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, CURLU_DEFAULT_PORT) != CURLUE_OK) return {};
  std::string found = text;
  curl_free(text);
  return found;
}

struct Target {
  std::string server;  // host:port
  bool is_tls = false;
};

/// What is wrong with it is told without its text, which may hold a password.
Result<Target> target_of(const std::string& text) {
  const std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> url(curl_url(), curl_url_cleanup);
  // Without CURLU_NON_SUPPORT_SCHEME nothing but what this libcurl speaks is taken.
  if (const CURLUcode rc = curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0); rc != CURLUE_OK) {
    return Error{std::string("url: ") + curl_url_strerror(rc)};
  }
  const std::string scheme = part_of(url.get(), CURLUPART_SCHEME);
  if (scheme != "http" && scheme != "https") {
    return Error{"url: " + scheme + " is neither http nor https"};
  }
  return Target{part_of(url.get(), CURLUPART_HOST) + ":" + part_of(url.get(), CURLUPART_PORT),
                scheme == "https"};
}

void init_library() {
  [[maybe_unused]] static const CURLcode done = curl_global_init(CURL_GLOBAL_DEFAULT);
}

}  // namespace

struct HttpClient::Library {
  CURLM* multi = nullptr;
  ~Library() {
    if (multi != nullptr) curl_multi_cleanup(multi);
  }
};

struct HttpClient::Request {
  CURL* easy = nullptr;
  curl_slist* headers = nullptr;
  uint64_t token = 0;
  bool is_under_way = false;
  bool is_probe = false;
  std::string said;
  char why[CURL_ERROR_SIZE] = {};

  ~Request() {
    curl_slist_free_all(headers);
    if (easy != nullptr) curl_easy_cleanup(easy);
  }
  static size_t on_body(char* data, size_t size, size_t count, void* self) {
    append_printable(static_cast<Request*>(self)->said, data, size * count);
    return size * count;
  }
};

Result<std::unique_ptr<HttpClient>> HttpClient::make(HttpConfig config) {
  init_library();
  auto target = target_of(config.url);
  if (!target) return target.error();
  if (target->is_tls) {
    // libcurl reads them itself at each connection; here it is told what is wrong with which.
    const TlsMode mode = config.cert_file.empty() ? TlsMode::tls : TlsMode::mtls;
    const auto files = read_tls_files({mode, config.ca_file, config.cert_file, config.key_file, {}});
    if (!files) return files.error();
  }
  config.requests_max = std::max(config.requests_max, 1u);
  auto library = std::make_unique<Library>();
  library->multi = curl_multi_init();
  if (library->multi == nullptr) return Error{"libcurl cannot be initialised"};
  std::unique_ptr<HttpClient> client(new HttpClient(std::move(config), std::move(library)));
  client->server_ = std::move(target->server);
  if (auto token = client->refresh_token(); !token) return token.error();
  return client;
}

HttpClient::HttpClient(HttpConfig config, std::unique_ptr<Library> library)
    : config_(std::move(config)), library_(std::move(library)) {
  const long connections = static_cast<long>(config_.requests_max);
  curl_multi_setopt(library_->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, connections);
  curl_multi_setopt(library_->multi, CURLMOPT_MAXCONNECTS, connections);
}

HttpClient::~HttpClient() {
  cancel_all();
  requests_.clear();  // before the multi handle, which they refer to
}

size_t HttpClient::under_way() const noexcept {
  return static_cast<size_t>(std::count_if(requests_.begin(), requests_.end(),
                                           [](const auto& r) { return r->is_under_way; })) +
         answers_.size();
}

HttpClient::Request* HttpClient::begin(uint64_t token) {
  auto idle = std::find_if(requests_.begin(), requests_.end(),
                           [](const auto& r) { return !r->is_under_way; });
  if (idle == requests_.end()) {
    assert(requests_.size() < config_.requests_max);
    idle = requests_.insert(idle, std::make_unique<Request>());
    (*idle)->easy = curl_easy_init();
  }
  Request& request = **idle;
  request.token = token;
  request.is_probe = false;
  request.said.clear();
  request.why[0] = '\0';
  curl_slist_free_all(request.headers);
  request.headers = nullptr;

  CURL* const easy = request.easy;
  curl_easy_reset(easy);
  curl_easy_setopt(easy, CURLOPT_URL, config_.url.c_str());
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(config_.timeout_ms));
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(config_.timeout_ms));
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, request.why);
  curl_easy_setopt(easy, CURLOPT_PRIVATE, &request);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &Request::on_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &request);
  curl_easy_setopt(easy, CURLOPT_USERAGENT, "weir");
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
  curl_easy_setopt(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, kCaCacheSecs);
  const auto set_file = [&](CURLoption option, const std::string& path) {
    if (!path.empty()) curl_easy_setopt(easy, option, path.c_str());
  };
  set_file(CURLOPT_CAINFO, config_.ca_file);
  set_file(CURLOPT_SSLCERT, config_.cert_file);
  set_file(CURLOPT_SSLKEY, config_.key_file);
  return &request;
}

void HttpClient::post(uint64_t token, std::span<const uint8_t> body,
                      std::span<const std::string> headers) {
  if (auto read = refresh_token(); !read) {
    answers_.push_back({.token = token, .said = read.error().message});
    return;
  }
  Request& request = *begin(token);
  const auto add = [&](const char* line) { request.headers = curl_slist_append(request.headers, line); };
  add("Expect:");  // a server that does not know it would cost a second each time
  if (!bearer_.empty()) add(bearer_.c_str());
  for (const std::string& header : headers) add(header.c_str());
  curl_easy_setopt(request.easy, CURLOPT_POST, 1L);
  curl_easy_setopt(request.easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
  // An empty body is one too; a null pointer would mean that a callback has it.
  curl_easy_setopt(request.easy, CURLOPT_POSTFIELDS,
                   body.empty() ? "" : reinterpret_cast<const char*>(body.data()));
  curl_easy_setopt(request.easy, CURLOPT_HTTPHEADER, request.headers);
  request.is_under_way = true;
  curl_multi_add_handle(library_->multi, request.easy);
}

void HttpClient::probe(uint64_t token) {
  Request& request = *begin(token);
  request.is_probe = true;
  curl_easy_setopt(request.easy, CURLOPT_CONNECT_ONLY, 1L);
  curl_easy_setopt(request.easy, CURLOPT_FORBID_REUSE, 1L);
  request.is_under_way = true;
  curl_multi_add_handle(library_->multi, request.easy);
}

void HttpClient::end(Request& request) {
  curl_multi_remove_handle(library_->multi, request.easy);
  request.is_under_way = false;
  if (!request.is_probe) return;
  // Its connection serves nobody else and would stay open with the handle.
  curl_easy_cleanup(request.easy);
  request.easy = curl_easy_init();
}

void HttpClient::perform(int wait_ms) {
  int running = 0;
  curl_multi_perform(library_->multi, &running);
  int queued = 0;
  CURLMsg* message = curl_multi_info_read(library_->multi, &queued);
  if (message == nullptr && answers_.empty() && wait_ms > 0) {
    curl_multi_poll(library_->multi, nullptr, 0, wait_ms, nullptr);
    wake_asked_.store(false);
    curl_multi_perform(library_->multi, &running);
    message = curl_multi_info_read(library_->multi, &queued);
  }
  for (; message != nullptr; message = curl_multi_info_read(library_->multi, &queued)) {
    if (message->msg != CURLMSG_DONE) continue;
    const CURLcode result = message->data.result;  // the message is gone with its handle
    CURL* const easy = message->easy_handle;
    Request* request = nullptr;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &request);
    HttpAnswer answer{.token = request->token};
    if (result == CURLE_OK) {
      curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &answer.status);
      curl_off_t retry_after = 0;
      curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &retry_after);
      answer.retry_after_secs =
          static_cast<uint32_t>(std::clamp<curl_off_t>(retry_after, 0, 365 * 86'400));
      answer.said = std::move(request->said);
    } else {
      // An answer that did not come whole is none.
      answer.timed_out = result == CURLE_OPERATION_TIMEDOUT;
      answer.said = request->why[0] != '\0' ? request->why : curl_easy_strerror(result);
    }
    end(*request);
    answers_.push_back(std::move(answer));
  }
}

bool HttpClient::take_answer(HttpAnswer& answer) {
  if (answers_.empty()) return false;
  answer = std::move(answers_.front());
  answers_.pop_front();
  return true;
}

void HttpClient::cancel_all() {
  for (const auto& request : requests_) {
    if (request->is_under_way) end(*request);
  }
  answers_.clear();
}

/// One octet in libcurl's pipe is enough until a wait has taken it.
void HttpClient::wake() noexcept {
  if (!wake_asked_.exchange(true)) curl_multi_wakeup(library_->multi);
}

/// The header with the token, as its file has it now.
Result<void> HttpClient::refresh_token() {
  const std::string& path = config_.token_file;
  if (path.empty()) return {};
  const auto refuse = [&](const std::string& why) { return Error{"token_file " + path + ": " + why}; };
  const FileStamps stamps({path});
  if (!bearer_.empty() && stamps == token_stamps_) return {};
  auto read = read_secret_file(path);
  if (!read) return refuse(read.error().message);
  std::string& text = *read;
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) {
    text.pop_back();
  }
  const bool is_token = !text.empty() && text.size() <= kTokenOctetsMax &&
                        std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7F; });
  if (!is_token) return refuse("holds no token: one line of printable characters without blanks");
  std::string bearer = "Authorization: Bearer " + text;
  if (!bearer_.empty() && bearer != bearer_) ++renewals_;
  bearer_ = std::move(bearer);
  token_stamps_ = stamps;
  return {};
}

}  // namespace weir::outbound
