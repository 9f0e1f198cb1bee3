#include "api/config.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/printable.h"
#include "base/socket_address.h"
#include "service/common_values.h"
#include "service/config_text.h"

namespace weir::api {
namespace {

using service::integer;
using service::Schema;

constexpr uint64_t kMs = 1'000'000;
constexpr uint64_t kSec = 1'000'000'000;

service::ValueType<std::string> address_or_none() {
  return service::text_where("an address with a port, such as 127.0.0.1:50049 or [::1]:50049; empty: none",
                             [](std::string_view text) { return text.empty() || text.find(':') != std::string_view::npos; });
}

service::ValueType<std::string> web_origin() {
  return service::text_where("an origin such as https://grafana.example.com", [](std::string_view text) {
    const size_t scheme = text.starts_with("https://") ? 8 : text.starts_with("http://") ? 7 : 0;
    return scheme != 0 && text.size() > scheme && text.find_first_of("/ *,", scheme) == std::string_view::npos;
  });
}

const Schema<ListenConfig>& listen_schema() {
  using C = ListenConfig;
  static const auto schema =
      Schema<C>()
          .key("unix", &C::unix_path, service::any_text(), "Unix socket, for weirctl query and others of this machine; empty: none.")
          .key("unix_mode", &C::unix_mode, service::file_mode(), "Its rights.")
          .key("unix_group", &C::unix_group, service::any_text(), "Its group; its members may ask, beside root and the program's own user.")
          .key("tcp", &C::tcp, address_or_none(), "HTTP over TCP, with tls over TLS. Addresses that other machines reach take tokens_file or tls.client_ca_file.");
  return schema;
}

const Schema<ApiTlsConfig>& tls_schema() {
  using C = ApiTlsConfig;
  static const auto schema =
      Schema<C>()
          .key("cert_file", &C::cert_file, service::any_text(), "Our certificate (PEM), and behind it what leads to its CA. With it listen.tcp speaks TLS only.")
          .key("key_file", &C::key_file, service::any_text(), "Its private key (PEM), without a passphrase.")
          .key("client_ca_file", &C::client_ca_file, service::any_text(), "CAs (PEM): clients must show a certificate that one of them issued.");
  return schema;
}

const Schema<StoreLinkConfig>& store_schema() {
  using C = StoreLinkConfig;
  static const auto schema =
      Schema<C>()
          .key("socket", &C::socket, service::any_text(), "Its control socket.");
  return schema;
}

const Schema<LimitsConfig>& limits_schema() {
  using C = LimitsConfig;
  static const auto schema =
      Schema<C>()
          .key("connections", &C::connections, integer<uint32_t>(1, 10'000), "Open connections; the next is answered 503.")
          .key("running", &C::running, integer<uint32_t>(1, 1000), "Questions that are put to the store at a time; fewer than its sql.queries_max, since a page takes two statements.")
          .key("waiting", &C::waiting, integer<uint32_t>(0, 10'000), "Questions that wait until one of these is answered; the next is answered 503.")
          .key("query_timeout_ms", &C::query_timeout_ms, service::duration<uint32_t>(kMs, 100, 3'600'000), "How long one may take, with the time that its answer takes to be read.")
          .key("sql_rows", &C::sql_rows, integer<uint64_t>(1, 100'000'000), "Rows of an answer to /api/sql.");
  return schema;
}

const Schema<service::LogConfig>& log_schema() {
  using C = service::LogConfig;
  static const auto schema =
      Schema<C>()
          .key("level", &C::level, service::named_choice<service::LogLevel>(), "The least important messages that are written.")
          .key("format", &C::format, service::named_choice<service::LogFormat>(), "text for people, json for log collectors; both on standard error.");
  return schema;
}

bool is_readable_by_others(const std::string& path) {
  struct stat look {};
  return stat(path.c_str(), &look) == 0 && (look.st_mode & S_IROTH) != 0;
}

Result<LoadedConfig> finish(LoadedConfig loaded, service::ConfigReport& report) {
  if (!report.ok()) return report.to_error();
  loaded.warnings = report.warnings();
  return loaded;
}

}  // namespace

const Schema<ApiConfig>& api_schema() {
  using C = ApiConfig;
  static const auto schema =
      Schema<C>()
          .object("listen", &C::listen, listen_schema(), "Where questions come in.")
          .object("tls", &C::tls, tls_schema(), "Of listen.tcp. Files that are replaced are taken at SIGHUP.")
          .key("tokens_file", &C::tokens_file, service::any_text(),
               "Bearer tokens of those who may ask over TCP, a line each: a name, and the token or sha256: and its digest. Read anew at SIGHUP. Empty: none is asked for.")
          .list("cors_origins", &C::cors_origins, web_origin(), "Web pages of these origins may ask from browsers; none by default.")
          .object("store", &C::store, store_schema(), "weir-store: who answers.")
          .key("realtime_threshold", &C::realtime_threshold, service::duration<uint32_t>(kSec, 60, 4'000'000'000),
               "What /api/netflow/realtime answers goes so far back, and /api/netflow/historical ends there.")
          .object("limits", &C::limits, limits_schema(), "How much at a time.")
          .object("log", &C::log, log_schema(), "The log.");
  return schema;
}

Result<LoadedConfig> read_config(std::string_view text, const std::string& name, std::span<const char* const> environment) {
  auto document = service::parse_config_document(text, name);
  if (!document) return document.error();
  LoadedConfig loaded;
  service::ConfigReport report;
  service::ReadContext context{report, loaded.origins};
  api_schema().read(&loaded.config, *document, "", context);
  api_schema().read_environment(&loaded.config, environment, context);
  return finish(std::move(loaded), report);
}

Result<LoadedConfig> load_config(const std::string& path, std::span<const char* const> environment) {
  const auto text = service::read_config_file(path);
  if (!text) return text.error();
  return read_config(*text, path, environment);
}

std::span<const char* const> process_environment() noexcept {
  size_t count = 0;
  while (environ != nullptr && environ[count] != nullptr) ++count;
  return {environ, count};
}

Result<std::shared_ptr<const Tokens>> read_tokens(const ApiConfig& config) {
  if (config.tokens_file.empty()) return std::make_shared<const Tokens>();
  auto tokens = Tokens::read(config.tokens_file);
  if (!tokens) return Error{"tokens_file: " + tokens.error().message};
  return tokens;
}

Result<CheckedFiles> check_files(const ApiConfig& config) {
  CheckedFiles checked;
  auto tokens = read_tokens(config);
  if (!tokens) return tokens.error();
  checked.tokens = std::move(*tokens);
  if (const std::string trouble = trouble_of(server_config(config), *checked.tokens); !trouble.empty()) return Error{trouble};
  if (!config.tokens_file.empty() && is_readable_by_others(config.tokens_file)) {
    checked.warnings.push_back(fmt::format("tokens_file: {} can be read by every user of this machine (chmod o-rwx)", printable(config.tokens_file)));
  }
  if (!config.listen.tcp.empty() && !is_loopback(config.listen.tcp) && config.tls.cert_file.empty()) {
    checked.warnings.push_back(fmt::format("listen.tcp: {} without tls: whoever is on the way can read tokens and answers", config.listen.tcp));
  }
  return checked;
}

ServerConfig server_config(const ApiConfig& config) {
  return {.unix_path = config.listen.unix_path,
          .unix_mode = config.listen.unix_mode,
          .unix_group = config.listen.unix_group,
          .tcp_address = config.listen.tcp,
          .cert_file = config.tls.cert_file,
          .key_file = config.tls.key_file,
          .client_ca_file = config.tls.client_ca_file,
          .cors_origins = config.cors_origins,
          .connections_max = config.limits.connections};
}

std::string describe(const LoadedConfig& loaded) {
  const ApiConfig& c = loaded.config;
  std::string out = "Values and where they come from:\n\n" + service::describe_values(api_schema(), &c, loaded.origins) + "\nWhat would run:\n\n";
  if (!c.listen.unix_path.empty()) out += fmt::format("  HTTP at {}\n", printable(c.listen.unix_path));
  if (!c.listen.tcp.empty()) {
    out += fmt::format("  {} at {}, {}\n", c.tls.cert_file.empty() ? "HTTP" : "HTTPS", c.listen.tcp,
                       !c.tokens_file.empty()          ? "for who has a token"
                       : !c.tls.client_ca_file.empty() ? "for who has a certificate"
                                                       : "for whoever is on this machine");
  }
  out += fmt::format("  answers of the store at {}, at most {} at a time, {} ms each\n", printable(c.store.socket), c.limits.running, c.limits.query_timeout_ms);
  return out;
}

std::string describe_keys() { return service::describe_keys(api_schema().document()); }

}  // namespace weir::api
