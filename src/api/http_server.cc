#include "api/http_server.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "api/http_session.h"
#include "base/printable.h"
#include "base/socket_address.h"
#include "service/http_listen.h"
#include "service/log.h"

namespace weir::api {
namespace {

using Tcp = asio::ip::tcp;
using Local = asio::local::stream_protocol;
constexpr auto kAcceptRetryDelay = std::chrono::milliseconds(100);

service::HttpServerConfig listen_config(const ServerConfig& config) {
  return {.unix_path = config.unix_path, .unix_mode = config.unix_mode, .unix_group = config.unix_group, .tcp_address = config.tcp_address};
}

Result<std::shared_ptr<asio::ssl::context>> make_tls(const ServerConfig& config) {
  if (config.cert_file.empty()) return std::shared_ptr<asio::ssl::context>();
  auto tls = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_server);
  tls->set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_sslv2 | asio::ssl::context::no_sslv3 |
                   asio::ssl::context::no_tlsv1 | asio::ssl::context::no_tlsv1_1);
  error_code error;
  tls->use_certificate_chain_file(config.cert_file, error);
  if (error) return Error{fmt::format("tls.cert_file: {}: {}", printable(config.cert_file), error.message())};
  tls->use_private_key_file(config.key_file, asio::ssl::context::pem, error);
  if (error) return Error{fmt::format("tls.key_file: {}: {}", printable(config.key_file), error.message())};
  if (SSL_CTX_check_private_key(tls->native_handle()) != 1) return Error{"tls.key_file: is not the key of tls.cert_file"};
  if (!config.client_ca_file.empty()) {
    tls->load_verify_file(config.client_ca_file, error);
    if (error) return Error{fmt::format("tls.client_ca_file: {}: {}", printable(config.client_ca_file), error.message())};
    tls->set_verify_mode(asio::ssl::verify_peer | asio::ssl::verify_fail_if_no_peer_cert);
    // Without a name for what sessions are good for OpenSSL ends each connection that would resume one.
    constexpr std::string_view kContext = "weir-api";
    SSL_CTX_set_session_id_context(tls->native_handle(), reinterpret_cast<const unsigned char*>(kContext.data()), kContext.size());
  }
  return tls;
}

/// Accepts for ever; beyond the limit a connection is told so.
template <class Protocol, class Welcome>
class Acceptor {
 public:
  Acceptor(asio::io_context& io, typename Protocol::acceptor acceptor, Welcome welcome)
      : acceptor_(std::move(acceptor)), retry_(io), welcome_(std::move(welcome)) {}
  void accept() {
    acceptor_.async_accept([this](error_code error, typename Protocol::socket socket) {
      if (error == asio::error::operation_aborted) return;
      if (error) {  // out of descriptors: come back later instead of spinning
        retry_.expires_after(kAcceptRetryDelay);
        retry_.async_wait([this](error_code stopped) {
          if (!stopped) accept();
        });
        return;
      }
      welcome_(std::move(socket));
      accept();
    });
  }

 private:
  typename Protocol::acceptor acceptor_;
  asio::steady_timer retry_;
  Welcome welcome_;
};

class Server final : public HttpServer {
 public:
  Server(asio::io_context& io, const ServerConfig& config, std::vector<Route> routes, std::shared_ptr<const Tokens> tokens)
      : io_(io), config_(config) {
    house_->routes = std::move(routes);
    house_->tokens = std::move(tokens);
    house_->cors_origins = config.cors_origins;
    house_->knows_clients_by_certificate = !config.client_ca_file.empty();
  }
  ~Server() override {
    while (!house_->sessions.empty()) {
      SessionBase* const session = house_->sessions.back();
      house_->sessions.pop_back();
      session->give_up();
    }
    struct stat now {};
    if (config_.unix_path.empty() || lstat(config_.unix_path.c_str(), &now) != 0) return;
    // Only our own: a successor may have put its socket there by now.
    if (now.st_dev == unix_identity_.st_dev && now.st_ino == unix_identity_.st_ino) unlink(config_.unix_path.c_str());
  }

  Result<void> listen() {
    auto tls = make_tls(config_);
    if (!tls) return tls.error();
    house_->tls = std::move(*tls);
    const auto sockets = listen_config(config_);
    if (!config_.tcp_address.empty()) {
      auto listener = service::listen_tcp(config_.tcp_address);
      if (!listener) return listener.error();
      tcp_port_ = listener->port;
      tcp_.emplace(io_, Tcp::acceptor(io_, listener->is_v6 ? Tcp::v6() : Tcp::v4(), listener->fd.release()),
                   TcpWelcome{this});
      tcp_->accept();
    }
    if (!config_.unix_path.empty()) {
      auto fd = service::listen_unix(sockets);
      if (!fd) return fd.error();
      stat(config_.unix_path.c_str(), &unix_identity_);
      if (!config_.unix_group.empty()) readers_ = service::group_id(config_.unix_group);
      local_.emplace(io_, Local::acceptor(io_, Local(), fd->release()), LocalWelcome{this});
      local_->accept();
    }
    return {};
  }

  uint16_t tcp_port() const noexcept override { return tcp_port_; }
  const ServerBooks& books() const noexcept override { return house_->books; }
  Result<void> reload(std::shared_ptr<const Tokens> tokens) override {
    auto tls = make_tls(config_);
    if (!tls) return tls.error();
    house_->tls = std::move(*tls);  // sessions that go on keep theirs
    if (tokens != nullptr) house_->tokens = std::move(tokens);
    return {};
  }

 private:
  struct TcpWelcome {
    Server* server;
    void operator()(Tcp::socket socket) const { server->welcome_tcp(std::move(socket)); }
  };
  struct LocalWelcome {
    Server* server;
    void operator()(Local::socket socket) const { server->welcome_local(std::move(socket)); }
  };

  bool has_room() {
    ++house_->books.accepted;
    if (house_->books.connections < config_.connections_max) return true;
    ++house_->books.refused;
    return false;
  }

  template <class Stream, class... Arguments>
  void begin(Door door, Arguments&&... arguments) {
    const bool is_guest = has_room();
    // Some are told; who comes when even those are many is closed unanswered.
    if (!is_guest && house_->books.connections >= config_.connections_max + 32) return;
    auto session = std::make_shared<Session<Stream>>(Stream(std::forward<Arguments>(arguments)...), house_, std::move(door));
    if (is_guest) return session->begin(std::nullopt);
    session->begin(error_response(503, fmt::format("{} connections are open already (connections_max): try again", config_.connections_max)));
  }

  void welcome_tcp(Tcp::socket socket) {
    error_code error;
    const auto peer = socket.remote_endpoint(error);
    if (error) return;
    socket.set_option(Tcp::no_delay(true), error);
    Door door{false, fmt::format("{}", peer.address().to_string())};
    AnySocket::socket any(std::move(socket));
    if (house_->tls == nullptr) return begin<PlainStream>(std::move(door), std::move(any));
    begin<TlsStream>(std::move(door), PlainStream(std::move(any)), *house_->tls);
  }

  void welcome_local(Local::socket socket) {
    const service::Peer peer = service::Peer::of(socket.native_handle());
    if (readers_ && !peer.is_owner() && !peer.is_in(*readers_)) return;
    begin<PlainStream>(Door{true, fmt::format("uid {}", peer.credentials.uid)}, AnySocket::socket(std::move(socket)));
  }

  asio::io_context& io_;
  const ServerConfig config_;
  const std::shared_ptr<House> house_ = std::make_shared<House>();
  std::optional<Acceptor<Tcp, TcpWelcome>> tcp_;
  std::optional<Acceptor<Local, LocalWelcome>> local_;
  std::optional<gid_t> readers_;
  uint16_t tcp_port_ = 0;
  struct stat unix_identity_ {};
};

}  // namespace

bool is_loopback(const std::string& tcp_address) {
  return tcp_address.starts_with("127.") || tcp_address.starts_with("[::1]:") || tcp_address.starts_with("localhost:");
}

std::string trouble_of(const ServerConfig& config, const Tokens& tokens) {
  std::string trouble;
  const auto add = [&](const std::string& line) { trouble += (trouble.empty() ? "" : "\n") + line; };
  if (config.cert_file.empty() != config.key_file.empty()) add("tls: needs both cert_file and key_file");
  if (!config.client_ca_file.empty() && config.cert_file.empty()) add("tls.client_ca_file: needs tls.cert_file and tls.key_file");
  if (!config.tcp_address.empty() && !is_loopback(config.tcp_address) && tokens.empty() && config.client_ca_file.empty()) {
    add(fmt::format("listen.tcp: {} can be reached from other machines; that takes tokens_file or tls.client_ca_file, so that not everybody may ask", config.tcp_address));
  }
  if (config.tcp_address.empty() && config.unix_path.empty()) add("listen: neither unix nor tcp");
  for (const auto& found : service::find_listen_trouble(listen_config(config))) {
    if (!found.may_pass) add(fmt::format("{}: {}", found.key == service::ListenTrouble::Key::tcp_address ? "listen.tcp" : "listen.unix", found.what));
  }
  if (auto tls = make_tls(config); !tls) add(tls.error().message);
  return trouble;
}

Result<std::unique_ptr<HttpServer>> HttpServer::make(asio::io_context& io, const ServerConfig& config, std::vector<Route> routes,
                                                     std::shared_ptr<const Tokens> tokens) {
  auto server = std::make_unique<Server>(io, config, std::move(routes), std::move(tokens));
  if (auto listening = server->listen(); !listening) return listening.error();
  return std::unique_ptr<HttpServer>(std::move(server));
}

}  // namespace weir::api
