#include "control/state/state_keeper.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/clock.h"
#include "control/state/state_file.h"
#include "service/log.h"

namespace weir::control {
namespace {

constexpr size_t kChunkOctets = 4 * decode::kStateChunkOctetsMin;
/// When templates were last refreshed matters to those with a lifetime, and is no change.
constexpr uint64_t kRefreshNs = 600 * kNsPerSec;
/// What is known of an exporter that has not been heard of for so long is let go.
constexpr uint64_t kForgetNs = 30ull * 86'400 * kNsPerSec;

/// No count of changes: the next interval has something to save.
constexpr uint64_t kChangesUnknown = UINT64_MAX;

/// What has changed of all that is kept, as a number that grows.
uint64_t changes_of(dataplane::DataPlane& plane) {
  using decode::TemplateEvent;
  uint64_t sum = 0;
  for (size_t i = 0; i < plane.cores().size(); ++i) {
    const decode::DecoderCounters& c = plane.pipeline(i).decoder_counters();
    sum += c.rate_changes.value();
    for (const TemplateEvent e :
         {TemplateEvent::learned, TemplateEvent::redefined, TemplateEvent::withdrawn,
          TemplateEvent::evicted, TemplateEvent::expired, TemplateEvent::restored}) {
      sum += c.template_events[e].value();
    }
  }
  return sum;
}

std::string age_of(uint64_t then_ns, uint64_t now_ns) {
  const uint64_t s = now_ns > then_ns ? (now_ns - then_ns) / kNsPerSec : 0;
  if (s < 120) return fmt::format("{} seconds", s);
  if (s < 7200) return fmt::format("{} minutes", s / 60);
  if (s < 172'800) return fmt::format("{} hours", s / 3600);
  return fmt::format("{} days", s / 86'400);
}

}  // namespace

StateKeeper::StateKeeper(const std::string& state_dir, uint64_t interval_ns)
    : path_(state_dir.empty() ? std::string()
                              : (std::filesystem::path(state_dir) / "decoder_state").string()),
      interval_ns_(interval_ns) {
  view_.path = path_;
}

std::shared_ptr<const decode::StateImage> StateKeeper::load(const ExporterDirectory* names) {
  if (!is_on()) return nullptr;
  load_file();
  if (names == nullptr) return loaded_;
  std::vector<uint8_t> records;
  if (loaded_ != nullptr) records.assign(loaded_->octets().begin(), loaded_->octets().end());
  names->append_state(records, decode::kStateOctetsMax);
  auto whole = decode::StateImage::parse(std::move(records));
  if (whole) return *whole;
  service::log_warning("state: names cannot be given to the decoders: {}", whole.error().message);
  return loaded_;
}

void StateKeeper::load_file() {
  const auto ignore = [this](const std::string& why) {
    const auto aside = set_state_file_aside(path_);
    service::log_warning("state: {}; ignored, {}", why,
                         aside ? "and kept as " + *aside : aside.error().message);
  };
  auto file = read_state_file(path_);
  if (!file) return ignore(file.error().message);
  if (!file->has_value()) {
    service::log_info("state: {} is not there yet: templates are learned as exporters send them",
                      path_);
    return;
  }
  auto image = decode::StateImage::parse(std::move((*file)->records));
  if (!image) return ignore(path_ + ": " + image.error().message);
  loaded_ = *image;
  superseded_.assign(loaded_->pieces().size(), 0);
  const auto& contents = loaded_->contents();
  const std::lock_guard lock(mutex_);
  view_.loaded_exporters = contents.exporters;
  view_.loaded_templates = contents.templates;
  view_.loaded_rates = contents.rates;
  view_.loaded_written_ns = (*file)->written_ns;
  service::log_info("state: {}: {} templates and {} sampling rates of {} exporters, saved {} ago",
                    path_, contents.templates, contents.rates, contents.exporters,
                    age_of((*file)->written_ns, wall_clock_ns()));
}

void StateKeeper::step(dataplane::DataPlane& plane, uint64_t steady_now_ns) {
  if (!is_on()) return;
  if (collecting_) {
    if (collect(plane)) hand_over();
    return;
  }
  if (steady_now_ns < due_ns_) return;
  const bool is_first = due_ns_ == 0;
  due_ns_ = steady_now_ns + interval_ns_;
  if (is_first) {
    last_begun_ns_ = steady_now_ns;
    return;
  }
  if (writing_.is_running()) {  // a slow disk: at the next interval
    return fail(fmt::format("{} is still being written, {} s after it was begun", path_,
                            (steady_now_ns - last_begun_ns_) / kNsPerSec));
  }
  if (changes_of(plane) == changes_begun_ && steady_now_ns - last_begun_ns_ < kRefreshNs) return;
  last_begun_ns_ = steady_now_ns;
  begin(plane);
}

void StateKeeper::begin(dataplane::DataPlane& plane) {
  changes_begun_ = changes_of(plane);
  collecting_.emplace();
  while (cores_.size() < plane.cores().size()) {
    cores_.push_back(std::make_unique<Core>());
    cores_.back()->query.octets.resize(kChunkOctets);
  }
  for (auto& core : cores_) {
    core->is_over = false;
    core->query.cursor = {};
  }
  collect(plane);
}

bool StateKeeper::collect(dataplane::DataPlane& plane) {
  bool all_over = true;
  for (size_t i = 0; i < cores_.size(); ++i) {
    Core& core = *cores_[i];
    dataplane::StateQuery* answer = nullptr;
    if (core.is_out && plane.pipeline(i).take_state(answer)) {
      core.is_out = false;
      std::vector<uint8_t>& octets = collecting_->octets;
      if (octets.size() + answer->filled > decode::kStateOctetsMax) {
        collecting_->is_cut = true;
        core.is_over = true;
      } else {
        octets.insert(octets.end(), answer->octets.begin(),
                      answer->octets.begin() + static_cast<ptrdiff_t>(answer->filled));
        core.is_over = answer->cursor.is_over;
      }
    }
    if (!core.is_over && !core.is_out) core.is_out = plane.pipeline(i).ask_state(core.query);
    all_over = all_over && core.is_over;
  }
  return all_over;
}

void StateKeeper::hand_over() {
  const auto begun =
      writing_.begin([this, save = std::move(*collecting_)]() mutable { write(std::move(save)); });
  collecting_.reset();
  if (begun) return;
  changes_begun_ = kChangesUnknown;
  fail(begun.error().message);
}

void StateKeeper::fail(const std::string& error) {
  static service::LogLimit limit(3, 600 * kNsPerSec);
  service::log_limited(limit, service::LogLevel::warning, "state cannot be kept: {}", error);
  const std::lock_guard lock(mutex_);
  view_.error = error;
}

void StateKeeper::begin_finish(dataplane::DataPlane& plane) {
  if (!is_on()) return;
  // The cores have ended, so this thread does their part of the conversation. What was under way is
  // older than what they know now.
  for (int round = collecting_ ? 0 : 1; round < 2; ++round) {
    if (!collecting_) begin(plane);
    while (!collect(plane)) {
      const RoleScope role(rx_lcore);
      for (size_t i = 0; i < cores_.size(); ++i) {
        plane.pipeline(i).poll(steady_clock_ns(), wall_clock_ns());
      }
    }
    if (round == 0) collecting_.reset();
  }
  is_finishing_ = true;
  has_finished();
}

bool StateKeeper::has_finished() {
  if (writing_.is_running()) return false;
  if (!is_finishing_) return true;
  if (collecting_) {
    hand_over();
    if (writing_.is_running()) return false;
  }
  is_finishing_ = false;
  const std::lock_guard lock(mutex_);
  if (view_.error.empty()) {
    service::log_info("state: {}: {} templates and {} sampling rates of {} exporters saved", path_,
                      view_.saved_templates, view_.saved_rates, view_.saved_exporters);
  }
  return true;
}

StateView StateKeeper::view() const {
  const std::lock_guard lock(mutex_);
  return view_;
}

void StateKeeper::write(StateSave save) {
  const uint64_t now_ns = wall_clock_ns();
  std::string error;
  auto image = decode::StateImage::parse(save.octets);
  decode::StateImage::Contents contents;
  if (!image) {
    error = "what the decoders told makes no sense: " + image.error().message;
  } else {
    contents = (*image)->contents();
    if (loaded_ != nullptr) {
      // What was loaded and has not been asked for stays, behind what is known now.
      const auto pieces = loaded_->pieces();
      for (const auto& piece : (*image)->pieces()) {
        for (uint32_t i = loaded_->find(piece.address);
             i < pieces.size() && pieces[i].address == piece.address && !piece.incomplete; ++i) {
          superseded_[i] = 1;
        }
      }
      for (size_t i = 0; i < pieces.size(); ++i) {
        const auto& piece = pieces[i];
        const bool forgotten = now_ns > piece.last_seen_ns + kForgetNs;
        if (superseded_[i] != 0 || forgotten) continue;
        const auto octets = loaded_->octets(piece);
        if (save.octets.size() + octets.size() > decode::kStateOctetsMax) {
          save.is_cut = true;
          break;
        }
        save.octets.insert(save.octets.end(), octets.begin(), octets.end());
      }
      if (auto whole = decode::StateImage::parse(save.octets)) contents = (*whole)->contents();
    }
    if (const auto written = write_state_file(path_, save.octets, now_ns); !written) {
      error = written.error().message;
    }
  }
  if (!error.empty()) return fail(error);
  if (save.is_cut) {
    static service::LogLimit limit(3, 600 * kNsPerSec);
    service::log_limited(limit, service::LogLevel::warning,
                         "state: more than {} octets: some exporters are left out",
                         decode::kStateOctetsMax);
  }
  const std::lock_guard lock(mutex_);
  view_.error.clear();
  view_.saved_ns = now_ns;
  view_.saved_octets = save.octets.size();
  view_.saved_exporters = contents.exporters;
  view_.saved_templates = contents.templates;
  view_.saved_rates = contents.rates;
}

}  // namespace weir::control
