// weir_replay.cc — `weir replay`: captures through the data plane, and what that shows.
#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/decimal_range.h"
#include "cli/replay_run.h"
#include "service/log.h"

namespace weir::cli {
namespace {

constexpr int kWrongUsage = 2;

struct ReplayOptions {
  std::vector<std::string> captures;
  ReplayTarget target;
  std::string rate = "max";
  uint64_t rounds = 0;
  double seconds = 0;
  uint32_t exporters = 1;
  double lose = 0, duplicate = 0, reorder = 0, corrupt = 0;  // percent
  uint64_t seed = 1;
  bool json = false;
  bool quiet = false;
  bool stages = false;
  std::string chart;
};

std::atomic<bool> stop_asked{false};
void ask_to_stop(int) { stop_asked.store(true, std::memory_order_relaxed); }

uint32_t of_a_million(double percent) { return static_cast<uint32_t>(percent * 10'000 + 0.5); }

lab::ReplayPlan plan_of(const ReplayOptions& o, const lab::ReplayRate& rate) {
  lab::ReplayPlan plan;
  plan.rate = rate;
  plan.duration_ns = static_cast<uint64_t>(o.seconds * 1e9);
  plan.rounds = o.rounds == 0 && o.seconds == 0 ? 1 : o.rounds;
  plan.copies = o.exporters;
  plan.faults = {of_a_million(o.lose), of_a_million(o.duplicate), of_a_million(o.reorder), of_a_million(o.corrupt)};
  plan.seed = o.seed;
  return plan;
}

/// On a terminal: one line that is written over.
class ProgressLine {
 public:
  explicit ProgressLine(bool is_on) : is_on_(is_on) {}
  ~ProgressLine() {
    if (is_on_) std::fputs("\r\033[K", stderr);
  }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  void show(double progress, const ReplayMoment& m) {
    if (!is_on_) return;
    constexpr int kWidth = 30;
    const int full = static_cast<int>(progress * kWidth);
    const double seconds = static_cast<double>(m.after_ns - before_.after_ns) / 1e9;
    const double rate = seconds > 0 ? static_cast<double>(m.records - before_.records) / seconds / 1e6 : 0;
    before_ = m;
    fmt::print(stderr, "\r[{:#<{}}{:.<{}}] {:5.1f}%  {} frames, {:.2f} M records/s\033[K", "", full, "", kWidth - full,
               progress * 100, m.frames, rate);
    std::fflush(stderr);
  }

 private:
  const bool is_on_;
  ReplayMoment before_;
};

int fail(const std::string& what, int status = 1) {
  fmt::print(stderr, "weir replay: {}\n", what);
  return status;
}

int replay(const ReplayOptions& o) {
  const auto rate = lab::ReplayRate::parse(o.rate);
  if (!rate) return fail(fmt::format("--rate {}: must be {}", o.rate, lab::kReplayRateForms), kWrongUsage);
  auto frames = lab::ReplayFrames::load(o.captures);
  if (!frames) return fail(frames.error().message);
  const uint64_t exporters = uint64_t{frames->sources().size()} * o.exporters;
  if (exporters > lab::kReplayExportersMax) {
    return fail(fmt::format("--exporters {}: {} in the captures make {}, which is more than {}", o.exporters,
                            frames->sources().size(), exporters, lab::kReplayExportersMax),
                kWrongUsage);
  }
  auto config = replay_config(o.target, *frames, exporters);
  if (!config) return fail(config.error().message);
  std::signal(SIGINT, ask_to_stop);
  std::signal(SIGTERM, ask_to_stop);
  service::start_log(config->log);
  Result<ReplayResult> result = Error{};
  {
    ProgressLine progress(!o.quiet && isatty(STDERR_FILENO) != 0);
    result = run_replay(*config, *frames, plan_of(o, *rate), stop_asked,
                        [&](double done, const ReplayMoment& moment) { progress.show(done, moment); });
  }
  if (!result) return fail(result.error().message);
  if (o.stages) {
    const auto stages = measure_stages(*config, *frames);
    if (!stages) return fail(stages.error().message);
    result->stages = *stages;
  }
  if (o.json) {
    std::puts(replay_json(*result).dump(2).c_str());
  } else {
    for (const std::string& line : replay_table(*result)) std::puts(line.c_str());
  }
  if (!o.chart.empty()) {
    std::ofstream chart(o.chart);
    if (!(chart << replay_svg(*result) << std::flush)) return fail(o.chart + ": cannot be written");
  }
  return result->is_lossless() && result->view->ledger_mismatches == 0 ? 0 : 1;
}

}  // namespace

void add_replay_command(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand(
      "replay", "Play captures to an appliance of its own, at a rate, and report what it took, lost and delivered");
  auto o = std::make_shared<ReplayOptions>();
  const CLI::Validator percent = decimal_range(0.0, 100.0);
  command->add_option("CAPTURE", o->captures, "Captures of exports: pcap or pcapng, also packed with gzip or zstd")->required();
  auto* config = command->add_option("-c,--config", o->target.config_path,
                                     "Listeners, publishers and limits from this file; its ports and replicate are not used");
  command->add_option("--publish", o->target.publish,
                      "Without --config: discard, file:PATH (FlowBatches) or nats://HOST:PORT (JetStream)")
      ->capture_default_str()
      ->excludes(config);
  command->add_option("--rate", o->rate, fmt::format("{}. Beyond `max`, what finds no room is lost", lab::kReplayRateForms))
      ->capture_default_str();
  command->add_option("--rounds", o->rounds, "Play so many times; sequence numbers and times of export go on (default: once)")
      ->check(CLI::Range(uint64_t{1}, uint64_t{1'000'000'000}));
  command->add_option("--seconds", o->seconds, "Play for so long")->check(decimal_range(0.001, 1e7));
  command->add_option("--exporters", o->exporters,
                      "For each exporter of the captures so many, with addresses of 198.18.0.0/15 and 2001:db8:e::/96")
      ->check(CLI::Range(1u, static_cast<uint32_t>(lab::kReplayExportersMax)))
      ->capture_default_str();
  command->add_option("--queues", o->target.queues, "Queues, each with a receive core")->check(CLI::Range(1, 16))->capture_default_str();
  command->add_option("--descriptors", o->target.descriptors, "Frames that a queue holds, as a NIC's descriptors: what a pause is outlasted by")
      ->check(CLI::Range(64, 16'384))
      ->capture_default_str();
  command->add_option("--workers", o->target.workers, "Cores that decode what those of the queues receive; 0: these do it")
      ->check(CLI::Range(0, 64))
      ->capture_default_str();
  command->add_option("--lose", o->lose, "Percent of the frames that are left out")->check(percent);
  command->add_option("--duplicate", o->duplicate, "Percent that come twice")->check(percent);
  command->add_option("--reorder", o->reorder, "Percent that come after the next one of their exporter")->check(percent);
  command->add_option("--corrupt", o->corrupt, "Percent in whose payload one octet is another")->check(percent);
  command->add_option("--seed", o->seed, "Of these dice")->capture_default_str();
  command->add_flag("--stages", o->stages, "Measure what each stage costs a record, too, on one core without a port");
  command->add_flag("--json", o->json, "The report as JSON");
  command->add_option("--chart", o->chart, "Write records a second over time to this file, as SVG");
  command->add_flag("-q,--quiet", o->quiet, "No progress on standard error");
  command->footer(
      "Examples:\n"
      "  weir replay exports.pcap --rounds 100\n"
      "  weir replay exports.pcap.zst --rate 200kpps --seconds 10 --exporters 100 --json\n"
      "  weir replay exports.pcap --publish nats://127.0.0.1:4222 --seconds 30 --chart rates.svg\n"
      "Status: 0 every frame was taken and every record delivered, 1 something was not, 2 wrong usage.");
  command->callback([o, &exit_code] { exit_code = replay(*o); });
}

}  // namespace weir::cli
