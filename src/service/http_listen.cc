#include "service/http_listen.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <vector>

#include "base/socket_address.h"
#include "service/process_rights.h"

namespace weir::service {

std::optional<gid_t> group_id(const std::string& group) {
  std::vector<char> buffer(64 * 1024);
  struct group entry {};
  struct group* found = nullptr;
  getgrnam_r(group.c_str(), &entry, buffer.data(), buffer.size(), &found);
  if (found == nullptr) return std::nullopt;
  return found->gr_gid;
}

Peer Peer::of(int fd) {
  Peer peer;
  socklen_t octets = sizeof peer.credentials;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer.credentials, &octets) != 0) {
    peer.credentials = {0, UINT32_MAX, UINT32_MAX};
    return peer;
  }
  octets = 0;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, nullptr, &octets) != 0 && errno == ERANGE) {
    peer.groups.resize(octets / sizeof(gid_t));
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, peer.groups.data(), &octets) != 0) peer.groups.clear();
  }
  return peer;
}

bool Peer::is_in(gid_t group) const noexcept {
  return credentials.gid == group || std::find(groups.begin(), groups.end(), group) != groups.end();
}

bool Peer::is_owner() const noexcept {
  return credentials.uid == 0 || credentials.uid == geteuid();
}

namespace {

using Key = ListenTrouble::Key;

std::string with_errno(std::string_view what, int number = errno) {
  return fmt::format("{}: {}", what, std::strerror(number));
}

/// How the configuration calls it.
const char* name_of(Key key) {
  switch (key) {
    case Key::unix_path: return "control_socket.path";
    case Key::unix_group: return "control_socket.group";
    case Key::admin_group: return "control_socket.admin_group";
    case Key::tcp_address: return "metrics_addr";
  }
  return "";
}

Error to_error(const ListenTrouble& trouble) {
  return Error{fmt::format("{}: {}", name_of(trouble.key), trouble.what)};
}

// ── unix socket ──────────────────────────────────────────────────────────────────────────────────

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

/// A file's group may be changed to one's own groups, and to any with CAP_CHOWN.
bool may_give_to(gid_t group) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
  if (syscall(SYS_capget, &header, data) != 0 || (data[0].effective >> CAP_CHOWN & 1) != 0) return true;
  std::vector<gid_t> own(static_cast<size_t>(std::max(getgroups(0, nullptr), 0)));
  own.resize(static_cast<size_t>(std::max(getgroups(static_cast<int>(own.size()), own.data()), 0)));
  return group == getegid() || std::find(own.begin(), own.end(), group) != own.end();
}

/// What lies at the path already: nothing, or a socket that nobody answers on, may be replaced.
std::optional<ListenTrouble> look_at_existing(const std::string& path, const sockaddr_un& address) {
  const auto trouble = [&](const std::string& what, bool may_pass = false) {
    return ListenTrouble{Key::unix_path, fmt::format("{}: {}", path, what), may_pass};
  };
  struct stat existing {};
  if (lstat(path.c_str(), &existing) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
    return trouble(with_errno("cannot be looked at"));
  }
  if (!S_ISSOCK(existing.st_mode)) return trouble("exists and is not a socket; it is left alone");
  const Fd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (probe.get() < 0) return trouble(with_errno("socket"));
  const int rc = connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  if (rc == 0 || errno == EAGAIN) return trouble("another process listens there", true);
  if (errno != ECONNREFUSED) return trouble(with_errno("connect"));
  return std::nullopt;
}

/// Nothing in the way, as far as can be seen without binding. Fills in `address`.
std::optional<ListenTrouble> look_at_unix(const HttpServerConfig& config, sockaddr_un& address) {
  const std::string& path = config.unix_path;
  const auto trouble = [&](const std::string& what) {
    return ListenTrouble{Key::unix_path, fmt::format("{}: {}", path, what), false};
  };
  address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return trouble(fmt::format("a path of {} octets, limit {}", path.size(),
                               sizeof address.sun_path - 1));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  if (path.back() == '/') return trouble("names a folder, not a socket");
  if (auto existing = look_at_existing(path, address)) return existing;

  // One folder is made where it is missing, /run/weir for example.
  std::string folder = folder_of(path);
  if (is_for_root_to_make(folder)) return std::nullopt;
  struct stat status {};
  if (stat(folder.c_str(), &status) != 0) {
    if (errno == ENOENT) folder = folder_of(folder);
    if (stat(folder.c_str(), &status) != 0) return trouble(with_errno(folder));
  }
  if (!S_ISDIR(status.st_mode)) return trouble(folder + " is not a folder");
  if (faccessat(AT_FDCWD, folder.c_str(), W_OK | X_OK, AT_EACCESS) != 0) {
    return trouble(with_errno(folder));
  }
  if (config.unix_group.empty()) return std::nullopt;
  const auto group = group_id(config.unix_group);
  if (!group) {
    return ListenTrouble{Key::unix_group, fmt::format("group {} does not exist", config.unix_group), false};
  }
  if (!may_give_to(*group)) {
    return ListenTrouble{Key::unix_group,
                         fmt::format("who runs weir is no member of group {}, and has no CAP_CHOWN", config.unix_group),
                         false};
  }
  return std::nullopt;
}

// ── TCP ──────────────────────────────────────────────────────────────────────────────────────────

/// Bound, not yet listening.
std::optional<ListenTrouble> bind_tcp(const std::string& text, std::optional<TcpListener>& bound) {
  const auto trouble = [&](const std::string& what, bool may_pass = false) {
    return ListenTrouble{Key::tcp_address, fmt::format("{}: {}", text, what), may_pass};
  };
  const auto address = SocketAddress::parse(text);
  if (!address) {
    return trouble("not an address and port such as 127.0.0.1:50046 or [::1]:50046");
  }
  const bool is_v6 = !address->address.is_v4();
  Fd fd(socket(is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (fd.get() < 0) return trouble(with_errno("socket"));
  const int on = 1, off = 0;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (is_v6) setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);

  sockaddr_storage storage{};
  socklen_t octets = 0;
  if (is_v6) {
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(address->port);
    std::memcpy(&v6.sin6_addr, address->address.octets.data(), sizeof v6.sin6_addr);
    std::memcpy(&storage, &v6, octets = sizeof v6);
  } else {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(address->port);
    std::memcpy(&v4.sin_addr, address->address.wire_data(), sizeof v4.sin_addr);
    std::memcpy(&storage, &v4, octets = sizeof v4);
  }
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&storage), octets) != 0) {
    const int number = errno;
    if (number == EADDRINUSE) return trouble("in use by another program", true);
    return trouble(std::strerror(number));
  }
  sockaddr_storage name{};
  octets = sizeof name;
  if (getsockname(fd.get(), reinterpret_cast<sockaddr*>(&name), &octets) != 0) {
    return trouble(with_errno("getsockname"));
  }
  sockaddr_in v4{};  // the port is at the same place in both
  std::memcpy(&v4, &name, sizeof v4);
  bound.emplace(TcpListener{std::move(fd), ntohs(v4.sin_port), is_v6});
  return std::nullopt;
}

}  // namespace

std::vector<ListenTrouble> find_listen_trouble(const HttpServerConfig& config) {
  std::vector<ListenTrouble> found;
  if (!config.unix_path.empty()) {
    sockaddr_un address{};
    if (auto trouble = look_at_unix(config, address)) found.push_back(std::move(*trouble));
    if (!config.admin_group.empty() && !group_id(config.admin_group)) {
      found.push_back({Key::admin_group, fmt::format("group {} does not exist", config.admin_group)});
    }
  }
  if (!config.tcp_address.empty()) {
    std::optional<TcpListener> bound;
    if (auto trouble = bind_tcp(config.tcp_address, bound)) found.push_back(std::move(*trouble));
  }
  return found;
}

Result<Fd> listen_unix(const HttpServerConfig& config) {
  const std::string& path = config.unix_path;
  const auto failed = [&](std::string_view what) {
    return to_error({Key::unix_path, fmt::format("{}: {}", path, with_errno(what)), false});
  };
  sockaddr_un address{};
  if (auto trouble = look_at_unix(config, address)) return to_error(*trouble);
  const std::string folder = folder_of(path);
  if (mkdir(folder.c_str(), 0755) != 0 && errno != EEXIST) return failed("cannot make " + folder);
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return failed("cannot remove the old socket");

  Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (fd.get() < 0) return failed("socket");
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return failed("bind");
  }
  const auto give_up = [&](Error error) {
    unlink(path.c_str());
    return error;
  };
  if (!config.unix_group.empty()) {
    const auto gid = group_id(config.unix_group);
    if (!gid || chown(path.c_str(), static_cast<uid_t>(-1), *gid) != 0) {
      return give_up(to_error(
          {Key::unix_group,
           with_errno(fmt::format("{} cannot be given to group {}", path, config.unix_group)),
           false}));
    }
  }
  if (chmod(path.c_str(), config.unix_mode) != 0) return give_up(failed("chmod"));
  if (listen(fd.get(), SOMAXCONN) != 0) return give_up(failed("listen"));
  return fd;
}

Result<TcpListener> listen_tcp(const std::string& address) {
  std::optional<TcpListener> bound;
  if (auto trouble = bind_tcp(address, bound)) return to_error(*trouble);
  // Another listener may have been faster: with SO_REUSEADDR that shows only here.
  if (listen(bound->fd.get(), SOMAXCONN) != 0) {
    return to_error(
        {Key::tcp_address, fmt::format("{}: {}", address, std::strerror(errno)), false});
  }
  return std::move(*bound);
}

}  // namespace weir::service
