// http_server.h — A web server for one test: each request is answered as the test says, or is not.
//
// Loopback only; a thread a connection. With a certificate it speaks TLS.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <condition_variable>
#include <cstdlib>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace weir::test {

struct HttpRequest {
  std::string method;
  std::string target;
  std::map<std::string, std::string> headers;  // names in small letters
  std::string body;
};

struct HttpReply {
  /// unanswered: the connection closes at once; cut: in the middle of the answer; hang: nothing comes.
  enum class Way { answer, unanswered, cut, hang };
  int status = 200;
  std::vector<std::string> headers;
  std::string body;
  Way way = Way::answer;
};

struct ServerTls {
  std::string cert_file;
  std::string key_file;
  std::string client_ca_file;  // clients must show a certificate of it
};

class HttpServer {
 public:
  using Handler = std::function<HttpReply(const HttpRequest&)>;  // one call at a time

  explicit HttpServer(Handler handler, ServerTls tls = {}, uint16_t port = 0)
      : handler_(std::move(handler)) {
    if (!tls.cert_file.empty()) make_tls(tls);
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    ::setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), length) != 0 ||
        ::listen(listener_, 64) != 0 ||
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
      throw std::runtime_error("no loopback port to listen on");
    }
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { accept_all(); });
  }
  ~HttpServer() {
    {
      const std::lock_guard lock(mutex_);
      is_stopping_ = true;
      for (const auto& c : connections_) ::shutdown(c.fd, SHUT_RDWR);
    }
    stopped_.notify_all();
    ::shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    for (auto& c : connections_) {
      c.thread.join();
      ::close(c.fd);
    }
    ::close(listener_);
    if (tls_ != nullptr) SSL_CTX_free(tls_);
  }
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  uint16_t port() const { return port_; }
  std::string url(const std::string& target = "/flows") const {
    return (tls_ != nullptr ? "https://localhost:" : "http://127.0.0.1:") + std::to_string(port_) +
           target;
  }

 private:
  struct Connection {
    int fd = -1;
    std::thread thread;
  };

  void make_tls(const ServerTls& tls) {
    tls_ = SSL_CTX_new(TLS_server_method());
    if (SSL_CTX_use_certificate_chain_file(tls_, tls.cert_file.c_str()) != 1 ||
        SSL_CTX_use_PrivateKey_file(tls_, tls.key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
      throw std::runtime_error("the server's certificate cannot be used");
    }
    if (tls.client_ca_file.empty()) return;
    SSL_CTX_load_verify_locations(tls_, tls.client_ca_file.c_str(), nullptr);
    SSL_CTX_set_verify(tls_, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  }

  void accept_all() {
    for (;;) {
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      const std::lock_guard lock(mutex_);
      if (is_stopping_ || fd < 0) {
        if (fd >= 0) ::close(fd);
        return;
      }
      Connection& connection = connections_.emplace_back();
      connection.fd = ::dup(fd);  // for shutdown, whatever the thread has closed
      connection.thread = std::thread([this, fd] { serve(fd); });
    }
  }

  /// The octets of one connection, plain or not.
  struct Stream {
    int fd;
    SSL* ssl = nullptr;
    std::string read_ahead;

    ssize_t read_some(char* to, size_t octets) const {
      return ssl != nullptr ? SSL_read(ssl, to, static_cast<int>(octets)) : ::recv(fd, to, octets, 0);
    }
    bool fill() {
      char chunk[16384];
      const ssize_t n = read_some(chunk, sizeof chunk);
      if (n > 0) read_ahead.append(chunk, static_cast<size_t>(n));
      return n > 0;
    }
    void write(const std::string& octets) const {
      if (ssl != nullptr) {
        SSL_write(ssl, octets.data(), static_cast<int>(octets.size()));
      } else {
        [[maybe_unused]] const ssize_t n = ::send(fd, octets.data(), octets.size(), MSG_NOSIGNAL);
      }
    }
  };

  static bool read_request(Stream& stream, HttpRequest& request) {
    size_t end = 0;
    while ((end = stream.read_ahead.find("\r\n\r\n")) == std::string::npos) {
      if (!stream.fill()) return false;
    }
    const std::string head = stream.read_ahead.substr(0, end);
    stream.read_ahead.erase(0, end + 4);
    size_t at = head.find("\r\n");
    const std::string first = head.substr(0, at);
    request.method = first.substr(0, first.find(' '));
    request.target = first.substr(request.method.size() + 1, first.rfind(' ') - request.method.size() - 1);
    while (at != std::string::npos) {
      const size_t next = head.find("\r\n", at + 2);
      const std::string line = head.substr(at + 2, next == std::string::npos ? next : next - at - 2);
      const size_t colon = line.find(':');
      std::string name = line.substr(0, colon);
      std::transform(name.begin(), name.end(), name.begin(),
                     [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      request.headers[name] = line.substr(std::min(line.size(), colon + 2));
      at = next;
    }
    const size_t octets = std::strtoull(request.headers["content-length"].c_str(), nullptr, 10);
    while (stream.read_ahead.size() < octets) {
      if (!stream.fill()) return false;
    }
    request.body = stream.read_ahead.substr(0, octets);
    stream.read_ahead.erase(0, octets);
    return true;
  }

  void serve(int fd) {
    Stream stream{fd};
    if (tls_ != nullptr) {
      stream.ssl = SSL_new(tls_);
      SSL_set_fd(stream.ssl, fd);
    }
    if (stream.ssl == nullptr || SSL_accept(stream.ssl) == 1) {
      for (HttpRequest request; read_request(stream, request); request = {}) {
        if (!reply_to(request, stream)) break;
      }
    }
    if (stream.ssl != nullptr) SSL_free(stream.ssl);
    ::shutdown(fd, SHUT_RDWR);
    ::close(fd);
  }

  /// Whether the connection goes on.
  bool reply_to(const HttpRequest& request, const Stream& stream) {
    HttpReply reply;
    {
      const std::lock_guard lock(handler_mutex_);
      reply = handler_(request);
    }
    std::string head = "HTTP/1.1 " + std::to_string(reply.status) + " -\r\n";
    for (const std::string& header : reply.headers) head += header + "\r\n";
    switch (reply.way) {
      case HttpReply::Way::answer:
        stream.write(head + "Content-Length: " + std::to_string(reply.body.size()) + "\r\n\r\n" +
                     reply.body);
        return true;
      case HttpReply::Way::cut: stream.write(head + "Content-Length: 1000\r\n\r\nhalf"); return false;
      case HttpReply::Way::unanswered: return false;
      case HttpReply::Way::hang: {
        std::unique_lock lock(mutex_);
        stopped_.wait(lock, [this] { return is_stopping_; });
        return false;
      }
    }
    return false;
  }

  const Handler handler_;
  SSL_CTX* tls_ = nullptr;
  int listener_ = -1;
  uint16_t port_ = 0;
  std::thread acceptor_;
  std::mutex handler_mutex_;
  std::mutex mutex_;
  std::condition_variable stopped_;
  bool is_stopping_ = false;
  std::list<Connection> connections_;
};

}  // namespace weir::test
