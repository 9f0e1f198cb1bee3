#include "service/process_rights.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <optional>

#include "base/start_thread.h"
#include "base/thread_rights.h"
#include "service/thread_look.h"

namespace weir::service {
namespace {

constexpr uint64_t bit(unsigned capability) { return uint64_t{1} << capability; }

// What opens ports, devices and BPF programs, without what goes by owners of files.
constexpr uint64_t kStartRights = bit(CAP_NET_ADMIN) | bit(CAP_NET_RAW) | bit(CAP_NET_BIND_SERVICE) | bit(CAP_BPF) |
                                  bit(CAP_PERFMON) | bit(CAP_SYS_ADMIN) | bit(CAP_SYS_RAWIO) | bit(CAP_IPC_LOCK) |
                                  bit(CAP_SYS_RESOURCE) | bit(CAP_SYS_NICE);
constexpr uint64_t kFileRights = bit(CAP_DAC_OVERRIDE) | bit(CAP_DAC_READ_SEARCH);
constexpr int kSignalPatienceMs = 1000;

bool is_between = false;  // assume() and give_up(); the control thread's, as they are

std::string with_errno(std::string_view what) { return fmt::format("{}: {}", what, std::strerror(errno)); }

/// Of the calling thread.
struct Capabilities {
  uint64_t effective = 0;
  uint64_t permitted = 0;
  uint64_t inheritable = 0;

  static Capabilities now() {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
    if (syscall(SYS_capget, &header, data) != 0) return {};
    const auto whole = [](uint32_t low, uint32_t high) { return uint64_t{high} << 32 | low; };
    return {whole(data[0].effective, data[1].effective), whole(data[0].permitted, data[1].permitted),
            whole(data[0].inheritable, data[1].inheritable)};
  }
  bool take() const {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
    const auto halves = [](uint64_t whole, uint32_t& low, uint32_t& high) {
      low = static_cast<uint32_t>(whole);
      high = static_cast<uint32_t>(whole >> 32);
    };
    halves(effective, data[0].effective, data[1].effective);
    halves(permitted, data[0].permitted, data[1].permitted);
    halves(inheritable, data[0].inheritable, data[1].inheritable);
    return syscall(SYS_capset, &header, data) == 0;
  }
};

struct Account {
  std::string name;
  uid_t uid = 0;
  gid_t gid = 0;
};

template <class Id>
std::optional<Id> number_of(const std::string& text) {
  Id number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

constexpr size_t kAccountOctetsMax = 64 * 1024;

Result<Account> account_of(const Identity& identity) {
  Account account{identity.user, geteuid(), getegid()};
  std::vector<char> buffer(kAccountOctetsMax);
  if (!identity.user.empty()) {
    passwd entry{};
    passwd* found = nullptr;
    getpwnam_r(identity.user.c_str(), &entry, buffer.data(), buffer.size(), &found);
    const auto number = number_of<uid_t>(identity.user);
    if (found == nullptr && number) getpwuid_r(*number, &entry, buffer.data(), buffer.size(), &found);
    if (found != nullptr) {
      account = {found->pw_name, found->pw_uid, found->pw_gid};
    } else if (number && !identity.group.empty()) {
      account.uid = *number;  // a container may have none of its users in /etc/passwd
    } else {
      return Error{fmt::format("user: there is no user {}{}", identity.user, number ? ": a number needs a group, too" : "")};
    }
  }
  if (identity.group.empty()) return account;
  group entry{};
  group* found = nullptr;
  getgrnam_r(identity.group.c_str(), &entry, buffer.data(), buffer.size(), &found);
  const auto number = number_of<gid_t>(identity.group);
  if (found == nullptr && !number) return Error{fmt::format("group: there is no group {}", identity.group)};
  account.gid = found != nullptr ? found->gr_gid : *number;
  return account;
}

std::string name_of_user(uid_t uid) {
  std::vector<char> buffer(kAccountOctetsMax);
  passwd entry{};
  passwd* found = nullptr;
  getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found);
  return found != nullptr ? found->pw_name : std::to_string(uid);
}

bool is_folder(const std::string& path) {
  std::error_code error;
  return std::filesystem::is_directory(path, error);
}

std::string parent_of(const std::string& path) {
  std::error_code error;
  std::filesystem::path whole = std::filesystem::absolute(path, error).lexically_normal();
  if (!whole.has_filename()) whole = whole.parent_path();
  return whole.parent_path().string();
}

Result<void> make_folder(const OwnFolder& folder, const Account& account) {
  if (mkdir(folder.path.c_str(), folder.mode) != 0) return {};  // it is there, or whoever wants it says what is wrong
  const int fd = open(folder.path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  const bool is_given = fd >= 0 && fchown(fd, account.uid, account.gid) == 0 && fchmod(fd, folder.mode) == 0;
  const std::string why = is_given ? "" : with_errno(fmt::format("{} cannot be given to {}", folder.path, account.name));
  if (fd >= 0) close(fd);
  return is_given ? Result<void>{} : Error{why};
}

Result<void> take_groups(const Account& account) {
  std::vector<gid_t> groups(64);
  int count = static_cast<int>(groups.size());
  if (getgrouplist(account.name.c_str(), account.gid, groups.data(), &count) < 0) {
    groups.resize(static_cast<size_t>(count));
    if (getgrouplist(account.name.c_str(), account.gid, groups.data(), &count) < 0) count = 0;
  }
  if (setgroups(static_cast<size_t>(count), groups.data()) != 0) return Error{with_errno("setgroups")};
  if (setresgid(account.gid, account.gid, account.gid) != 0) return Error{with_errno("setresgid")};
  return {};
}

/// One system call, which a handler may make.
void give_up_own(int) {
  const int before = errno;
  give_up_capabilities();
  errno = before;
}

/// Each thread but this one has none any more; the names of those that would not.
Result<std::vector<std::string>> tell_threads(uid_t uid) {
  struct sigaction action {};
  action.sa_handler = give_up_own;
  action.sa_flags = SA_RESTART;
  sigfillset(&action.sa_mask);
  if (sigaction(rights_signal(), &action, nullptr) != 0) return Error{with_errno("sigaction")};
  const pid_t self = gettid();
  const auto ids = thread_ids();
  if (!ids) return ids.error();
  for (const pid_t id : *ids)
    if (id != self) syscall(SYS_tgkill, getpid(), id, rights_signal());
  std::vector<std::string> left;
  for (int ms = 0; ms < kSignalPatienceMs; ++ms) {
    const auto others = look_at_threads(uid, self);
    if (!others) return others.error();
    left = names_with_any(*others);
    if (left.empty()) break;
    constexpr timespec kNap{.tv_sec = 0, .tv_nsec = 1'000'000};
    nanosleep(&kNap, nullptr);
  }
  return left;
}

std::vector<std::string> names_of(uint64_t capabilities) {
  std::vector<std::string> names;
  for (unsigned i = 0; i < 64; ++i)
    if ((capabilities >> i & 1) != 0) names.push_back(capability_name(i));
  return names;
}

}  // namespace

std::string capability_name(unsigned number) {
  static constexpr const char* kNames[] = {
      "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
      "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE",
      "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME",
      "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG",
      "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE"};
  return number < std::size(kNames) ? fmt::format("CAP_{}", kNames[number]) : std::to_string(number);
}

RightsView RightsView::look() {
  RightsView view;
  view.uid = geteuid();
  view.gid = getegid();
  view.user = name_of_user(view.uid);
  view.capabilities = names_of(Capabilities::now().permitted);
  return view;
}

FileRights::FileRights() {
  Capabilities own = Capabilities::now();
  raised_ = own.permitted & kFileRights & ~own.effective;
  own.effective |= raised_;
  if (raised_ != 0 && !own.take()) raised_ = 0;
}

FileRights::~FileRights() {
  Capabilities own = Capabilities::now();
  own.effective &= ~raised_;
  if (raised_ != 0) own.take();
}

Result<ProcessRights> ProcessRights::assume(const Identity& identity, std::span<const OwnFolder> folders) {
  ProcessRights rights;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return Error{with_errno("no_new_privs")};
  rights.uid_ = geteuid();
  if (identity.user.empty() && identity.group.empty()) return rights;
  const auto account = account_of(identity);
  if (!account) return account.error();
  if (geteuid() != 0 || getuid() != 0) {
    if (account->uid == geteuid() && account->gid == getegid()) return rights;
    return Error{fmt::format("user: {} (uid {}, gid {}): only root can become another user, and this is {} (uid {}, gid {})",
                             account->name, account->uid, account->gid, name_of_user(geteuid()), geteuid(), getegid())};
  }
  if (account->uid == 0) {  // nothing is taken then, the group neither
    if (identity.group.empty() || account->gid == getegid()) return rights;
    return Error{fmt::format("group: {} goes with a `user` that is not root", identity.group)};
  }

  for (const OwnFolder& folder : folders)
    if (auto made = make_folder(folder, *account); !made) return made.error();
  for (unsigned i = 0; i < 64; ++i)  // what is executed gets none; a capability that this kernel has not is no matter
    if (prctl(PR_CAPBSET_DROP, i, 0, 0, 0) != 0 && errno == EPERM) return Error{with_errno("capability bounding set")};
  if (auto taken = take_groups(*account); !taken) return Error{"user: " + taken.error().message};
  if (setresuid(0, account->uid, 0) != 0) return Error{with_errno("user: setresuid")};
  Capabilities own = Capabilities::now();  // the effective ones went with uid 0
  own.effective = own.permitted & kStartRights;
  own.inheritable = 0;
  if (!own.take()) return Error{with_errno("user: capset")};
  prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);  // /proc/self is the user's, as that of any of its processes
  rights.is_two_step_ = is_between = true;
  rights.uid_ = account->uid;
  return rights;
}

Result<RightsView> ProcessRights::give_up(std::vector<KeptRight> kept) {
  if (uid_ == 0) return RightsView::look();  // as it was asked to
  Capabilities own = Capabilities::now();
  uint64_t wanted = 0;
  for (const KeptRight& right : kept) wanted |= bit(right.number);
  wanted &= own.permitted;
  std::vector<std::string> left;
  if (is_two_step_) {
    // The flag is this thread's alone: setresuid, which goes to all, takes the others' capabilities.
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) return Error{with_errno("keepcaps")};
    if (setresuid(uid_, uid_, uid_) != 0) return Error{with_errno("setresuid")};
    prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
    is_two_step_ = is_between = false;
  }
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  const bool is_more = (own.permitted | own.inheritable) != 0;
  if (is_more && !Capabilities{wanted, wanted, 0}.take()) return Error{with_errno("capset")};
  const auto others = look_at_threads(uid_, gettid());
  if (!others) return others.error();
  if (!names_with_any(*others).empty()) {
    auto told = tell_threads(uid_);
    if (!told) return told.error();
    left = std::move(*told);
  }

  // Not believed but seen.
  const auto threads = look_at_threads(uid_);
  if (!threads) return threads.error();
  for (const ThreadFacts& thread : *threads)
    if (!thread.is_of) return Error{thread.is_seen ? fmt::format("thread {} is still another user's", thread.name) : thread.name};
  if (setresuid(static_cast<uid_t>(-1), 0, static_cast<uid_t>(-1)) == 0) return Error{"it could still become root"};
  RightsView view = RightsView::look();
  view.has_given_up = true;
  view.threads_with_more = std::move(left);
  for (KeptRight& right : kept)
    if ((wanted & bit(right.number)) != 0) view.kept.push_back(std::move(right));
  return view;
}

bool is_for_root_to_make(const std::string& path) {
  return is_between && !path.empty() && !is_folder(path) && is_folder(parent_of(path));
}

}  // namespace weir::service
