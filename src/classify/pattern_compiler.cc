#include "classify/pattern_compiler.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/clock.h"

namespace weir::classify {
namespace {

// What the two processes say to each other. Requests: a Mode, then for each pattern its flags, its group, its length (4
// octets each, host order: it is one machine) and itself, to the end. Answers: kAt and a number for each pattern that is
// begun (mode each), then kFailed, a number (of the pattern, or kNobody) and the engine's words, or kNoMemory, or kMade and the
// databases.
enum class Mode : uint8_t { together, each };
constexpr uint8_t kAt = 'a', kFailed = 'f', kNoMemory = 'n', kMade = 'm';
constexpr uint32_t kNobody = UINT32_MAX;
constexpr size_t kRequestOctetsMax = 2 * kPatternsMax * (kPatternOctetsMax + 12) + 1;

CompilerProgram& compiler_program() {
  static CompilerProgram program;
  return program;
}

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kMayBoundAddresses = false;  // the shadow alone takes terabytes of them
#else
constexpr bool kMayBoundAddresses = true;
#endif

void put_u32(std::vector<uint8_t>& to, uint32_t v) {
  const auto* const p = reinterpret_cast<const uint8_t*>(&v);
  to.insert(to.end(), p, p + sizeof v);
}

uint32_t get_u32(const uint8_t* p) noexcept {
  uint32_t v = 0;
  std::memcpy(&v, p, sizeof v);
  return v;
}

// ---- The process that compiles ----

bool read_all(int fd, std::vector<uint8_t>& octets) {
  uint8_t some[64 * 1024];
  for (;;) {
    const ssize_t n = read(fd, some, sizeof some);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 || octets.size() > kRequestOctetsMax) return false;
    if (n == 0) return true;
    octets.insert(octets.end(), some, some + n);
  }
}

bool write_all(int fd, std::span<const uint8_t> octets) {
  while (!octets.empty()) {
    const ssize_t n = write(fd, octets.data(), octets.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    octets = octets.subspan(static_cast<size_t>(n));
  }
  return true;
}

bool parse_request(std::span<const uint8_t> octets, Mode& mode, std::vector<Pattern>& patterns) {
  if (octets.empty() || octets[0] > static_cast<uint8_t>(Mode::each)) return false;
  mode = static_cast<Mode>(octets[0]);
  octets = octets.subspan(1);
  while (!octets.empty()) {
    if (octets.size() < 12) return false;
    const uint32_t flags = get_u32(octets.data());
    const uint32_t group = get_u32(octets.data() + 4);
    const uint32_t length = get_u32(octets.data() + 8);
    octets = octets.subspan(12);
    if (length > octets.size()) return false;
    patterns.push_back({std::string(octets.begin(), octets.begin() + length), flags, group});
    octets = octets.subspan(length);
  }
  return true;
}

/// Who starts it may be root still by its real user id, and a user by the effective one: by that alone from now on.
bool be_one_user() {
  const gid_t group = getegid();
  const uid_t user = geteuid();
  return setresgid(group, group, group) == 0 && setresuid(user, user, user) == 0;
}

constexpr uint64_t kSecondsToEnd = 60;

/// From now on; SIGXCPU ends the process then.
bool may_take(uint64_t cpu_seconds) {
  timespec used{};
  if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) != 0) return false;
  rlimit cpu{};
  if (getrlimit(RLIMIT_CPU, &cpu) != 0) return false;
  cpu.rlim_cur = std::min<rlim_t>(cpu.rlim_max, static_cast<uint64_t>(used.tv_sec) + 1 + cpu_seconds);
  return setrlimit(RLIMIT_CPU, &cpu) == 0;
}

int answer_error(const PatternError& error, size_t first) {
  if (error.is_out_of_memory) return write_all(STDOUT_FILENO, std::vector<uint8_t>{kNoMemory}) ? 0 : 1;
  std::vector<uint8_t> answer{kFailed};
  put_u32(answer, error.pattern ? static_cast<uint32_t>(first + *error.pattern) : kNobody);
  answer.insert(answer.end(), error.message.begin(), error.message.end());
  return write_all(STDOUT_FILENO, answer) ? 0 : 1;
}

// ---- The process that asks ----

struct Socket {
  int fd = -1;
  ~Socket() { close_it(); }
  void close_it() {
    if (fd >= 0) close(fd);
    fd = -1;
  }
};

PatternError trouble(std::string message) { return {{}, std::move(message)}; }

std::vector<uint8_t> request_of(Mode mode, std::span<const Pattern> patterns) {
  std::vector<uint8_t> request{static_cast<uint8_t>(mode)};
  for (const Pattern& pattern : patterns) {
    put_u32(request, pattern.flags);
    put_u32(request, pattern.group);
    put_u32(request, static_cast<uint32_t>(pattern.expression.size()));
    request.insert(request.end(), pattern.expression.begin(), pattern.expression.end());
  }
  return request;
}

std::optional<PatternError> start(int socket, pid_t& pid) {
  const CompilerProgram& program = compiler_program();
  if (program.path.empty()) return trouble("this program has nothing to compile patterns with");
  std::vector<char*> argv{const_cast<char*>(program.path.c_str())};
  for (const std::string& argument : program.arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, socket, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, socket, STDOUT_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  const int rc = posix_spawn(&pid, program.path.c_str(), &actions, &attributes, argv.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (rc != 0) return trouble(fmt::format("{} cannot be started: {}", program.path, std::strerror(rc)));
  return std::nullopt;
}

/// Sends all of `request` and takes all of `answer`; false at the deadline.
bool converse(int socket, std::span<const uint8_t> request, std::vector<uint8_t>& answer) {
  const uint64_t deadline_ns = steady_clock_ns() + kCompileWallSecondsMax * kNsPerSec;
  uint8_t some[64 * 1024];
  for (;;) {
    const uint64_t now_ns = steady_clock_ns();
    if (now_ns >= deadline_ns || answer.size() > kDatabaseOctetsMax) return false;
    pollfd ready{socket, static_cast<short>(request.empty() ? POLLIN : POLLIN | POLLOUT), 0};
    if (poll(&ready, 1, static_cast<int>((deadline_ns - now_ns) / kNsPerMs) + 1) < 0 && errno != EINTR) return false;
    if ((ready.revents & POLLOUT) != 0 && !request.empty()) {
      const ssize_t n = send(socket, request.data(), request.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n > 0) request = request.subspan(static_cast<size_t>(n));
      if (n < 0 && errno != EAGAIN && errno != EINTR) request = {};  // it has ended: how, it says below
      if (request.empty()) shutdown(socket, SHUT_WR);
    }
    if ((ready.revents & (POLLIN | POLLHUP)) != 0) {
      const ssize_t n = recv(socket, some, sizeof some, MSG_DONTWAIT);
      if (n == 0 || (n < 0 && errno == ECONNRESET)) return true;
      if (n > 0) answer.insert(answer.end(), some, some + n);
    }
  }
}

std::string describe_end(int status) {
  if (WIFSIGNALED(status)) {
    const int signal = WTERMSIG(status);
    if (signal == SIGXCPU || signal == SIGKILL) {
      return "takes too much CPU time to compile";
    }
    if (signal == SIGABRT || signal == SIGSEGV) {
      return "takes too much memory to compile, or the engine fails at it";
    }
    return fmt::format("the process that compiles ended by signal {}", signal);
  }
  return fmt::format("the process that compiles ended with {}", WEXITSTATUS(status));
}

std::optional<PatternError> ask(Mode mode, std::span<const Pattern> patterns, Databases& databases, bool& met_bound) {
  met_bound = false;
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return trouble(std::strerror(errno));
  Socket ours{ends[0]};
  Socket theirs{ends[1]};
  pid_t pid = 0;
  if (auto error = start(theirs.fd, pid)) return error;
  theirs.close_it();
  std::vector<uint8_t> answer;
  const bool ended = converse(ours.fd, request_of(mode, patterns), answer);
  if (!ended) kill(pid, SIGKILL);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  // Which one was begun last.
  std::optional<size_t> at;
  size_t place = 0;
  while (answer.size() - place >= 5 && answer[place] == kAt) {
    at = get_u32(&answer[place + 1]);
    place += 5;
  }
  if (ended && answer.size() >= place + 5 && answer[place] == kFailed) {
    const uint32_t pattern = get_u32(&answer[place + 1]);
    PatternError error{{}, std::string(answer.begin() + static_cast<std::ptrdiff_t>(place) + 5, answer.end())};
    if (pattern != kNobody) error.pattern = pattern;
    return error;
  }
  if (ended && answer.size() == place + 1 && answer[place] == kNoMemory) {
    met_bound = true;
    return PatternError{at, "takes too much memory to compile"};
  }
  std::optional<Databases> made;
  if (ended && WIFEXITED(status) && WEXITSTATUS(status) == 0 && answer.size() > place && answer[place] == kMade)
    made = split_databases(std::span(answer).subspan(place + 1));
  if (!made) {
    met_bound = true;
    return PatternError{ended ? at : std::nullopt, ended ? describe_end(status) : fmt::format("takes more than {} s to compile", kCompileWallSecondsMax)};
  }
  databases = std::move(*made);
  return std::nullopt;
}

}  // namespace

void append_database(std::vector<uint8_t>& to, const CompiledPatterns& compiled) {
  put_u32(to, compiled.width_max);
  put_u32(to, static_cast<uint32_t>(compiled.database.size()));
  to.insert(to.end(), compiled.database.begin(), compiled.database.end());
}

std::optional<Databases> split_databases(std::span<const uint8_t> octets) {
  constexpr size_t kHead = 8;
  Databases databases;
  while (!octets.empty()) {
    if (octets.size() < kHead) return std::nullopt;
    const size_t size = get_u32(octets.data() + 4);
    if (size > octets.size() - kHead) return std::nullopt;
    const auto database = octets.subspan(kHead, size);
    databases.push_back({{database.begin(), database.end()}, get_u32(octets.data())});
    octets = octets.subspan(kHead + size);
  }
  return databases;
}

void set_compiler_program(CompilerProgram program) { compiler_program() = std::move(program); }

int serve_patterns(const CompileBounds& bounds) {
  if (!be_one_user()) return 1;
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // nobody would take the answer
  close_range(STDERR_FILENO + 1, ~0u, 0);
  const rlimit addresses{bounds.address_bytes, bounds.address_bytes};
  const rlimit no_core{0, 0};
  if (!may_take(bounds.cpu_seconds) || setrlimit(RLIMIT_CORE, &no_core) != 0) return 1;
  if (kMayBoundAddresses && setrlimit(RLIMIT_AS, &addresses) != 0) return 1;
  [[maybe_unused]] const int niceness = nice(10);  // what receives goes first
  std::vector<uint8_t> request;
  Mode mode = Mode::together;
  std::vector<Pattern> patterns;
  if (!read_all(STDIN_FILENO, request) || !parse_request(request, mode, patterns)) return 2;
  CompiledPatterns compiled;
  for (size_t i = 0; mode == Mode::each && i < patterns.size(); ++i) {
    std::vector<uint8_t> at{kAt};
    put_u32(at, static_cast<uint32_t>(i));
    if (!write_all(STDOUT_FILENO, at) || !may_take(bounds.cpu_seconds)) return 1;
    if (const auto error = compile_here({&patterns[i], 1}, compiled)) return answer_error(*error, i);
  }
  // The last one's bound is not that of what the process does to end.
  if (mode == Mode::each && !may_take(kSecondsToEnd)) return 1;
  if (mode == Mode::each) return answer_error({{}, "together they take too much to compile; each alone does not"}, 0);
  std::vector<uint8_t> answer{kMade};
  for (size_t begin = 0, end = 0; begin < patterns.size(); begin = end) {
    while (end < patterns.size() && patterns[end].group == patterns[begin].group) ++end;
    const auto error = compile_here(std::span(patterns).subspan(begin, end - begin), compiled);
    if (error) return answer_error(*error, begin);
    append_database(answer, compiled);
  }
  return write_all(STDOUT_FILENO, answer) ? 0 : 1;
}

std::optional<PatternError> compile_apart(std::span<const Pattern> patterns, Databases& databases) {
  bool met_bound = false;
  auto error = ask(Mode::together, patterns, databases, met_bound);
  if (!error || !met_bound) return error;
  // Which of them is it? One by one, the one that meets the bound says so itself.
  auto found = ask(Mode::each, patterns, databases, met_bound);
  if (found && found->pattern) return found;
  if (found && !met_bound) return found;
  return error;
}

}  // namespace weir::classify
