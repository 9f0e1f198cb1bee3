#include "cli/weirctl_top.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <optional>
#include <utility>

#include "cli/weirctl_table.h"
#include "cli/weirctl_tables.h"

namespace weir::cli {

using nlohmann::json;

namespace {

constexpr size_t kLinesWithoutTerminal = 60;
constexpr size_t kExportersMax = 100;

/// 950, 12.3 k, 4.56 M.
std::string rate_of(double per_second) {
  if (per_second < 1000) return fmt::format("{:.0f}", per_second);
  if (per_second < 1e6) return fmt::format("{:.1f} k", per_second / 1e3);
  if (per_second < 1e9) return fmt::format("{:.2f} M", per_second / 1e6);
  return fmt::format("{:.2f} G", per_second / 1e9);
}

uint64_t number(const json& value) { return value.is_null() ? 0 : value.get<uint64_t>(); }

uint64_t sum(const json& tally) {
  uint64_t total = 0;
  for (const json& value : tally) total += number(value);
  return total;
}

/// The row of the same name in another look; null where there was none.
const json* find_row(const json& rows, const char* key, const json& name) {
  for (const json& row : rows) {
    if (row.at(key) == name) return &row;
  }
  return nullptr;
}

class Rates {
 public:
  Rates(const json& status_before, const json& status_now)
      : seconds_(static_cast<double>(std::max<uint64_t>(
                     number(status_now.at("taken_ns")) - number(status_before.at("taken_ns")), 1)) /
                 1e9) {}
  /// A counter that began anew, after a restart, counts from zero.
  std::string operator()(uint64_t before, uint64_t now) const {
    return rate_of(static_cast<double>(now >= before ? now - before : now) / seconds_);
  }

 private:
  double seconds_;
};

uint64_t missed_of(const json& status) {
  uint64_t missed = 0;
  for (const json& port : status.at("ports")) missed += number(port.at("missed")) + number(port.at("no_mbuf"));
  return missed;
}

uint64_t octets_of(const json& status) {
  uint64_t octets = 0;
  for (const json& core : status.at("cores")) octets += number(core.at("octets"));
  return octets;
}

uint64_t lost_by_publishers(const json& status) {
  uint64_t lost = 0;
  for (const json& p : status.at("publishers")) {
    lost += number(p.at("records").at("failed")) + number(p.at("records").at("dropped"));
  }
  return lost;
}

void append(std::vector<std::string>& lines, std::vector<std::string> more) {
  lines.push_back("");
  for (std::string& line : more) lines.push_back(std::move(line));
}

std::vector<std::string> core_lines(const TopSample& before, const TopSample& now, const Rates& rate) {
  Table table({"core", "cpu", "busy", "records/s", "datagrams/s", "exporters", "serves"});
  for (const json& c : now.status.at("cores")) {
    const json* const then = find_row(before.status.at("cores"), "core", c.at("core"));
    const auto of = [&](const char* key) { return rate(then == nullptr ? 0 : number(then->at(key)), number(c.at(key))); };
    table.add({text_of(c.at("core")), c.at("cpu").get<int>() < 0 ? "-" : text_of(c.at("cpu")),
               fmt::format("{:.1f}%", c.at("busy_ratio").get<double>() * 100), of("records"), of("datagrams"),
               text_of(c.at("exporters")), text_of(c.at("serves"))});
  }
  return table.lines();
}

std::vector<std::string> publisher_lines(const TopSample& before, const TopSample& now, const Rates& rate) {
  Table table({"publisher", "acknowledged/s", "failed/s", "dropped/s", "in flight", "spooled", "fill"});
  std::vector<std::string> troubles;
  for (const json& p : now.status.at("publishers")) {
    if (p.at("state") == "gone") continue;
    const json* const then = find_row(before.status.at("publishers"), "name", p.at("name"));
    const json& records = p.at("records");
    const auto of = [&](const char* key) {
      return rate(then == nullptr ? 0 : number(then->at("records").at(key)), number(records.at(key)));
    };
    table.add({text_of(p.at("name")), of("acknowledged"), of("failed"), of("dropped"), text_of(records.at("in_flight")),
               text_of(records.at("spooled")),
               fmt::format("{:.0f}%", p.at("queue").at("fill").get<double>() * 100)});
    if (const std::string trouble = text_of(p.at("last_error")); !trouble.empty()) {
      troubles.push_back(fmt::format("publisher {}: {}", text_of(p.at("name")), trouble));
    }
  }
  std::vector<std::string> lines = table.lines();
  lines.insert(lines.end(), troubles.begin(), troubles.end());
  return lines;
}

std::vector<std::string> exporter_lines(const json& rows, const ExporterRates& rates, size_t rows_max) {
  struct Busy {
    std::optional<ExporterRates::Rate> rate;
    const json* row;
    double records() const { return rate ? rate->records : 0; }
  };
  std::vector<Busy> busy;
  for (const json& row : rows) busy.push_back({rates.of(row.at("address").get<std::string>()), &row});
  std::stable_sort(busy.begin(), busy.end(), [](const Busy& a, const Busy& b) { return a.records() > b.records(); });
  Table table({"exporter", "records/s", "datagrams/s", "sequence lost", "what is wrong"});
  for (size_t i = 0; i < busy.size() && i < rows_max; ++i) {
    const auto& [rate, row] = busy[i];
    std::string wrong;
    for (const json& verdict : row->at("verdicts")) {
      wrong += (wrong.empty() ? "" : ", ") + text_of(verdict.at("about"));
    }
    const json& name = row->at("name");
    const std::string address = text_of(row->at("address"));
    table.add({name.is_null() ? address : address + " " + text_of(name), rate ? rate_of(rate->records) : "-",
               rate ? rate_of(rate->datagrams) : "-", std::to_string(number(row->at("sequence_lost"))), wrong});
  }
  std::vector<std::string> lines = table.lines();
  if (busy.size() > rows_max) lines.push_back(fmt::format("and {} more exporters", busy.size() - rows_max));
  return lines;
}

volatile std::sig_atomic_t was_interrupted = 0;

/// The terminal as a screen without echo, and as it was again at the end.
class Screen {
 public:
  Screen() : is_terminal_(isatty(STDOUT_FILENO) != 0) {
    has_keys_ = is_terminal_ && tcgetattr(STDIN_FILENO, &before_) == 0;
    if (is_terminal_) std::fputs("\x1b[?1049h\x1b[?25l", stdout);
    if (!has_keys_) return;
    termios keys = before_;
    keys.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    tcsetattr(STDIN_FILENO, TCSANOW, &keys);
  }
  ~Screen() {
    if (has_keys_) tcsetattr(STDIN_FILENO, TCSANOW, &before_);
    if (is_terminal_) std::fputs("\x1b[?25h\x1b[?1049l", stdout);
    std::fflush(stdout);
  }
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  size_t lines() const {
    winsize size{};
    const bool is_known = is_terminal_ && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 1;
    return is_known ? size.ws_row - 1u : kLinesWithoutTerminal;
  }
  void show(const std::vector<std::string>& lines) const {
    winsize size{};
    const bool cut = is_terminal_ && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    if (is_terminal_) std::fputs("\x1b[H", stdout);
    for (const std::string& line : lines) {
      const std::string shown = cut ? line.substr(0, size.ws_col) : line;
      std::printf("%s%s\n", shown.c_str(), is_terminal_ ? "\x1b[K" : "");
    }
    if (is_terminal_) std::fputs("\x1b[J", stdout);
    if (!is_terminal_) std::puts("");
    std::fflush(stdout);
  }
  /// False when somebody wants to end it.
  bool wait(std::chrono::milliseconds interval) const {
    pollfd input{has_keys_ ? STDIN_FILENO : -1, POLLIN, 0};
    const int ready = poll(&input, 1, static_cast<int>(interval.count()));
    if (was_interrupted != 0) return false;
    if (ready <= 0) return true;
    char key = 0;
    return read(STDIN_FILENO, &key, 1) == 1 && key != 'q' && key != 'Q';
  }

 private:
  const bool is_terminal_;
  bool has_keys_ = false;
  termios before_{};
};

}  // namespace

std::vector<std::string> top_screen(const TopSample& before, const TopSample& now, const ExporterRates& exporters,
                                    size_t lines_max) {
  const json& s = now.status;
  const Rates rate(before.status, now.status);
  std::vector<std::string> lines;
  lines.push_back(fmt::format("weir {}  {}, {}", text_of(s.at("version")), text_of(s.at("state")),
                              s.at("ready").get<bool>() ? std::string("ready")
                                                        : "not ready: " + text_of(s.at("not_ready_because"))));
  const auto ledger_rate = [&](const char* part, const char* key) {
    return rate(number(before.ledger.at(part).at(key)), number(now.ledger.at(part).at(key)));
  };
  lines.push_back(fmt::format("in a second: {} records, {} datagrams, {} octets", ledger_rate("records", "decoded"),
                              ledger_rate("datagrams", "received"),
                              rate(octets_of(before.status), octets_of(s))));
  lines.push_back(fmt::format("lost in a second: {} packets at ports, {} on the way here, {} records before encoding, {} "
                              "by publishers",
                              rate(missed_of(before.status), missed_of(s)),
                              ledger_rate("before_arrival", "sequence_lost"),
                              rate(sum(before.ledger.at("records").at("dropped")), sum(now.ledger.at("records").at("dropped"))),
                              rate(lost_by_publishers(before.status), lost_by_publishers(s))));
  append(lines, core_lines(before, now, rate));
  append(lines, publisher_lines(before, now, rate));
  // An empty line, heads, and the one that says how many more there are.
  const size_t left = lines.size() + 3 < lines_max ? lines_max - lines.size() - 3 : 0;
  if (left > 0) append(lines, exporter_lines(now.exporters, exporters, std::min(left, kExportersMax)));
  if (lines.size() > lines_max) lines.resize(lines_max);
  return lines;
}

void run_top(const TopOptions& options, const std::function<bool(TopSample&)>& look) {
  TopSample before, now;
  ExporterRates exporters;
  if (!look(before)) return;
  exporters.look(before.exporters);
  was_interrupted = 0;
  std::signal(SIGINT, [](int) { was_interrupted = 1; });
  std::signal(SIGTERM, [](int) { was_interrupted = 1; });
  const Screen screen;
  for (uint32_t shown = 0; options.count == 0 || shown < options.count; ++shown) {
    if (!screen.wait(options.interval) || !look(now)) return;
    exporters.look(now.exporters);
    screen.show(top_screen(before, now, exporters, screen.lines()));
    before = std::move(now);
  }
}

}  // namespace weir::cli
