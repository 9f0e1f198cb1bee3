#include "export/spool.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "base/byte_order.h"
#include "base/clock.h"
#include "base/crc32c.h"
#include "base/file_lock.h"

namespace weir::outbound {
namespace {

constexpr uint64_t kSegmentOctetsMin = 1u << 20;
constexpr uint64_t kSegmentOctetsMax = 256u << 20;
constexpr uint64_t kSegmentsAimed = 64;
constexpr uint64_t kSyncIntervalNs = kNsPerSec;
constexpr std::string_view kSuffix = ".spool";
constexpr size_t kNumberDigits = 16;

// The cursor's file has two slots, written in turn, so that a cut leaves one of them whole:
// generation (8), segment (8), offset (8), CRC-32C of these (4), zero (4).
constexpr size_t kCursorSlotOctets = 32;
constexpr size_t kCursorChecked = 24;

uint64_t segment_octets(const SpoolConfig& config) {
  if (config.segment_octets != 0) return config.segment_octets;
  return std::clamp(config.octets_max / kSegmentsAimed, kSegmentOctetsMin, kSegmentOctetsMax);
}

SpoolConfig with_defaults(SpoolConfig config) {
  config.segment_octets = segment_octets(config);
  return config;
}

std::optional<uint64_t> number_of(std::string_view name) {
  if (name.size() != kNumberDigits + kSuffix.size() || !name.ends_with(kSuffix)) return {};
  uint64_t number = 0;
  const char* end = name.data() + kNumberDigits;
  const auto [last, error] = std::from_chars(name.data(), end, number, 16);
  if (error != std::errc() || last != end) return {};
  return number;
}

Error error_of(const std::string& path, std::string_view what) {
  return Error{fmt::format("{}: {}: {}", path, what, std::strerror(errno))};
}

void subtract(Counter& gauge, uint64_t n) noexcept { gauge.set(gauge.value() - n); }

}  // namespace

Spool::Spool(const SpoolConfig& config) : config_(with_defaults(config)) {}

Spool::~Spool() {
  if (cursor_moved_) write_cursor();
  for (const int fd : {cursor_fd_, lock_fd_, dir_fd_}) {
    if (fd >= 0) ::close(fd);
  }
}

void Spool::set_limits(const SpoolLimits& limits) noexcept {
  config_.octets_max = limits.octets_max;
  config_.age_max_ns = limits.age_max_ns;
  config_.sync = limits.sync;
  config_.segment_octets = 0;
  config_.segment_octets = segment_octets(config_);
  none_expires_until_ns_ = 0;
}

std::string Spool::path_of(uint64_t number) const {
  return fmt::format("{}/{:016x}{}", config_.dir, number, kSuffix);
}

bool Spool::is_active(uint64_t number) const noexcept {
  return has_active_ && number == segments_.rbegin()->first;
}

// ---- opening ----

Result<std::unique_ptr<Spool>> Spool::open(const SpoolConfig& config) {
  std::unique_ptr<Spool> spool(new Spool(config));
  if (Result<void> locked = spool->lock(); !locked) return locked.error();
  if (Result<void> loaded = spool->load(); !loaded) return loaded.error();
  return spool;
}

bool Spool::is_taken(const std::string& dir) {
  const int fd = ::open((dir + "/lock").c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool taken = is_lock_refused(fd);
  ::close(fd);
  return taken;
}

Result<void> Spool::lock() {
  std::error_code error;
  std::filesystem::create_directories(config_.dir, error);
  if (error) return Error{fmt::format("{}: cannot be made: {}", config_.dir, error.message())};
  dir_fd_ = ::open(config_.dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (dir_fd_ < 0) return error_of(config_.dir, "cannot be opened");
  const std::string lock_path = config_.dir + "/lock";
  lock_fd_ = ::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
  if (lock_fd_ < 0) return error_of(lock_path, "cannot be written");
  if (is_lock_refused_for_long(lock_fd_)) {
    return Error{fmt::format("{}: another weir has its spool there", config_.dir)};
  }
  const std::string cursor_path = config_.dir + "/cursor";
  cursor_fd_ = ::open(cursor_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
  if (cursor_fd_ < 0) return error_of(cursor_path, "cannot be written");
  return {};
}

Result<void> Spool::load() {
  std::vector<uint64_t> numbers;
  std::error_code error;
  for (const auto& file : std::filesystem::directory_iterator(config_.dir, error)) {
    if (const auto number = number_of(file.path().filename().string())) numbers.push_back(*number);
  }
  if (error) return Error{fmt::format("{}: cannot be read: {}", config_.dir, error.message())};
  std::sort(numbers.begin(), numbers.end());

  const Place released_before = read_cursor().value_or(Place{});
  for (const uint64_t number : numbers) {
    if (number < released_before.segment) {
      ::unlink(path_of(number).c_str());
      continue;
    }
    // Only the last one was being written; what others hold is checked when it is read.
    const auto check =
        number == numbers.back() ? SpoolSegment::Check::checksums : SpoolSegment::Check::headers;
    if (Result<void> loaded = load_segment(number, released_before, check); !loaded) return loaded;
  }
  next_number_ = std::max(numbers.empty() ? 0 : numbers.back(), released_before.segment) + 1;
  counters_.restored_entries.set(counters_.entries.value());
  counters_.restored_records.set(counters_.records.value());
  next_ = segments_.empty() ? Place{next_number_, kSpoolFileHeaderOctets}
                            : Place{segments_.begin()->first, kSpoolFileHeaderOctets};
  if (next_.segment == released_before.segment) next_.offset = released_before.offset;
  cursor_ = next_;
  return {};
}

Result<void> Spool::load_segment(uint64_t number, Place from, SpoolSegment::Check check) {
  Result<SpoolSegment> file = SpoolSegment::open(path_of(number));
  if (!file) return file.error();
  const uint64_t file_octets = file->octets();
  const uint64_t offset = number == from.segment
                              ? std::max<uint64_t>(from.offset, kSpoolFileHeaderOctets)
                              : kSpoolFileHeaderOctets;
  const Result<SpoolSegment::Contents> contents = file->look_through(offset, check);
  if (!contents) return contents.error();
  counters_.damaged_octets.add(contents->damaged_octets);
  if (contents->entries == 0) {
    ::unlink(file->path().c_str());
    return {};
  }
  counters_.entries.add(contents->entries);
  counters_.records.add(contents->records);
  counters_.octets.add(file_octets);
  segments_.emplace(number,
                    Segment{std::move(*file), file_octets, contents->entries, contents->records});
  return {};
}

std::optional<Spool::Place> Spool::read_cursor() {
  std::array<uint8_t, 2 * kCursorSlotOctets> slots{};
  if (::pread(cursor_fd_, slots.data(), slots.size(), 0) <= 0) return {};
  std::optional<Place> newest;
  for (size_t i = 0; i < 2; ++i) {
    const uint8_t* p = slots.data() + i * kCursorSlotOctets;
    if (crc32c({p, kCursorChecked}) != load_be32(p + kCursorChecked)) continue;
    if (newest && load_be64(p) < cursor_generation_) continue;
    cursor_generation_ = load_be64(p);
    newest = Place{load_be64(p + 8), load_be64(p + 16)};
  }
  return newest;
}

void Spool::write_cursor() {
  std::array<uint8_t, kCursorSlotOctets> slot{};
  store_be64(slot.data(), ++cursor_generation_);
  store_be64(slot.data() + 8, cursor_.segment);
  store_be64(slot.data() + 16, cursor_.offset);
  store_be32(slot.data() + kCursorChecked, crc32c(std::span(slot).first(kCursorChecked)));
  const auto at = static_cast<off_t>(cursor_generation_ % 2 * kCursorSlotOctets);
  // Should it fail, more is given out again after a restart than need be; the broker knows the ids.
  [[maybe_unused]] const ssize_t written = ::pwrite(cursor_fd_, slot.data(), slot.size(), at);
  cursor_moved_ = false;
}

// ---- appending ----

SpoolAppend Spool::append(const SpoolEntry& entry) {
  const uint64_t octets = entry.octets();
  refused_octets_ = 0;
  if (entry.id.size() > UINT8_MAX || entry.subject.size() > UINT16_MAX ||
      octets > kSpoolEntryOctetsMax || octets + kSpoolFileHeaderOctets > config_.octets_max) {
    last_error_ = name_of(SpoolAppend::too_large);
    return SpoolAppend::too_large;
  }
  if (!fits_disk(octets)) remove_released_segments(Active::remove_too);
  if (!fits_disk(octets)) forget_expired(entry.sealed_wall_ns);
  if (!fits_disk(octets)) {
    last_error_ = name_of(SpoolAppend::full);
    refused_octets_ = octets;
    return SpoolAppend::full;
  }
  if (!write(entry)) {
    // Others may have filled the disk before max_bytes was reached: what is wanted no more gives its place.
    const uint64_t before = counters_.octets.value();
    remove_released_segments(Active::remove_too);
    const bool has_freed = before - counters_.octets.value() > kSpoolFileHeaderOctets;
    if (!has_freed || !write(entry)) return SpoolAppend::write_error;
  }
  Segment& active = segments_.rbegin()->second;
  active.disk_octets += octets;
  counters_.octets.add(octets);
  counters_.entries.increment();
  counters_.records.add(entry.records);
  ++active.entries_left;
  active.records_left += entry.records;
  ++unsynced_;
  if (config_.sync == SpoolSync::each) {
    // It is stored; only a power cut may lose it now, and that it may is said.
    unsynced_ = 0;
    if (!active.file.sync()) {
      last_error_ = error_of(active.file.path(), "cannot be flushed").message;
      return SpoolAppend::stored;
    }
  }
  last_error_.clear();
  return SpoolAppend::stored;
}

bool Spool::fits_active(uint64_t octets) const noexcept {
  return has_active_ && segments_.rbegin()->second.file.octets() + octets <= config_.segment_octets;
}

bool Spool::fits_disk(uint64_t octets) const noexcept {
  const uint64_t more = octets + (fits_active(octets) ? 0 : kSpoolFileHeaderOctets);
  return counters_.octets.value() + more <= config_.octets_max;
}

/// Nobody need append anything to hear that there is room again: who publishes may never do so.
void Spool::forget_fullness() {
  if (refused_octets_ == 0) return;
  if (!fits_disk(refused_octets_)) remove_released_segments(Active::remove_too);
  if (!fits_disk(refused_octets_)) return;
  refused_octets_ = 0;
  last_error_.clear();
}

/// Behind the last entry, or into a new file; false where the disk does not take it.
bool Spool::write(const SpoolEntry& entry) {
  if (!fits_active(entry.octets()) && !begin_segment()) return false;
  SpoolSegment& file = segments_.rbegin()->second.file;
  if (file.append(entry)) return true;
  last_error_ = error_of(file.path(), "cannot be written").message;
  return false;
}

bool Spool::begin_segment() {
  if (has_active_ && unsynced_ != 0 && config_.sync != SpoolSync::never) {
    [[maybe_unused]] const bool synced = segments_.rbegin()->second.file.sync();
    unsynced_ = 0;
  }
  Result<SpoolSegment> file = SpoolSegment::create(path_of(next_number_));
  if (!file) {
    last_error_ = file.error().message;
    return false;
  }
  if (config_.sync != SpoolSync::never) ::fsync(dir_fd_);
  counters_.octets.add(kSpoolFileHeaderOctets);
  segments_.emplace(next_number_, Segment{std::move(*file), kSpoolFileHeaderOctets, 0, 0});
  has_active_ = true;
  ++next_number_;
  return true;
}

void Spool::tick(uint64_t steady_now_ns) {
  if (steady_now_ns < next_sync_ns_) return;
  next_sync_ns_ = steady_now_ns + kSyncIntervalNs;
  forget_fullness();
  flush();
}

void Spool::flush() {
  if (cursor_moved_) write_cursor();
  if (config_.sync == SpoolSync::never || unsynced_ == 0 || !has_active_) return;
  unsynced_ = 0;
  SpoolSegment& file = segments_.rbegin()->second.file;
  if (!file.sync()) last_error_ = error_of(file.path(), "cannot be flushed").message;
}

// ---- taking and releasing ----

std::optional<Spool::Given> Spool::take_again(std::vector<uint8_t>& room) {
  for (; again_ < taken_.size(); ++again_) {
    Taken& taken = taken_[again_];
    if (taken.is_released || taken.is_out) continue;
    const auto segment = segments_.find(taken.place.segment);
    std::optional<SpoolEntry> entry;
    if (segment != segments_.end()) entry = segment->second.file.read(taken.place.offset, room);
    if (!entry) {  // it could be read before: a disk that fails
      counters_.damaged_octets.add(taken.end - taken.place.offset);
      counters_.damaged_records.add(taken.records);
      subtract(counters_.entries, 1);
      subtract(counters_.records, taken.records);
      taken.is_released = true;
      continue;
    }
    taken.is_out = true;
    ++out_;
    return Given{taken.place, *entry};
  }
  return {};
}

std::optional<Spool::Given> Spool::take(std::vector<uint8_t>& room, uint64_t wall_now_ns) {
  if (auto again = take_again(room)) return again;
  while (true) {
    if (taken_.size() == kSpoolTakenMax) forget_released();  // what is too old
    if (taken_.size() == kSpoolTakenMax) break;
    const std::optional<SpoolEntry> entry = read_next(room);
    if (!entry) break;
    const Place place = next_;
    pass_over(*entry);
    const bool expired = is_expired(*entry, wall_now_ns);
    taken_.push_back({place, next_.offset, entry->records, !expired, expired});
    again_ = taken_.size();
    if (!expired) {
      ++out_;
      return Given{place, *entry};
    }
    count_expired(*entry);
  }
  forget_released();
  return {};
}

/// The entry at next_, which goes past what is damaged; nothing at the end.
std::optional<SpoolEntry> Spool::read_next(std::vector<uint8_t>& room) {
  while (true) {
    const auto at = segments_.lower_bound(next_.segment);
    if (at == segments_.end()) return {};
    if (at->first != next_.segment) next_ = {at->first, kSpoolFileHeaderOctets};
    Segment& segment = at->second;
    const uint64_t octets_before = segment.file.octets();
    if (auto entry = segment.file.read(next_.offset, room)) return entry;
    if (next_.offset < octets_before) leave_damaged(segment, octets_before);
    if (is_active(at->first)) return {};
    next_ = {at->first + 1, kSpoolFileHeaderOctets};
  }
}

void Spool::pass_over(const SpoolEntry& entry) {
  Segment& segment = segments_.find(next_.segment)->second;
  next_.offset += entry.octets();
  --segment.entries_left;
  segment.records_left -= entry.records;
}

bool Spool::is_expired(const SpoolEntry& entry, uint64_t wall_now_ns) const noexcept {
  return config_.age_max_ns != 0 && entry.sealed_wall_ns + config_.age_max_ns < wall_now_ns;
}

void Spool::count_expired(const SpoolEntry& entry) noexcept {
  counters_.expired_entries.increment();
  counters_.expired_records.add(entry.records);
  subtract(counters_.entries, 1);
  subtract(counters_.records, entry.records);
}

/// What is too old makes room for what is new, also while nothing is taken because all that was is out.
void Spool::forget_expired(uint64_t wall_now_ns) {
  if (config_.age_max_ns == 0 || wall_now_ns <= none_expires_until_ns_) return;
  while (const std::optional<SpoolEntry> entry = read_next(scan_room_)) {
    if (!is_expired(*entry, wall_now_ns)) {
      none_expires_until_ns_ = entry->sealed_wall_ns + config_.age_max_ns;
      break;
    }
    pass_over(*entry);
    count_expired(*entry);
  }
  forget_released();
  if (taken_.empty()) return remove_released_segments(Active::remove_too);
  // The cursor stays before what is out; the files behind that, of which nothing is, may go.
  auto segment = segments_.upper_bound(taken_.back().place.segment);
  while (segment != segments_.end() && segment->first <= next_.segment &&
         segment->second.entries_left == 0) {
    remove_file((segment++)->first);
  }
}

/// What is left of the segment cannot be read: nothing says where its next entry begins.
void Spool::leave_damaged(Segment& segment, uint64_t octets_before) noexcept {
  counters_.damaged_octets.add(octets_before - segment.file.octets());
  counters_.damaged_records.add(segment.records_left);
  subtract(counters_.entries, segment.entries_left);
  subtract(counters_.records, segment.records_left);
  segment.entries_left = segment.records_left = 0;
}

void Spool::release(Place place) {
  const auto taken = std::lower_bound(taken_.begin(), taken_.end(), place,
                                      [](const Taken& t, Place p) { return t.place < p; });
  if (taken == taken_.end() || taken->place != place || taken->is_released) return;
  if (taken->is_out) --out_;
  taken->is_released = true;
  subtract(counters_.entries, 1);
  subtract(counters_.records, taken->records);
  forget_released();
}

void Spool::put_back_all() noexcept {
  for (Taken& taken : taken_) taken.is_out = false;
  again_ = 0;
  out_ = 0;
}

void Spool::forget_released() {
  while (!taken_.empty() && taken_.front().is_released) {
    cursor_ = {taken_.front().place.segment, taken_.front().end};
    cursor_moved_ = true;
    taken_.pop_front();
    if (again_ != 0) --again_;
  }
  remove_released_segments(Active::keep_for_more);
}

void Spool::remove_released_segments(Active active) {
  while (!segments_.empty()) {
    const auto first = segments_.begin();
    if (first->second.entries_left != 0) return;
    if (!taken_.empty() && taken_.front().place.segment == first->first) return;
    // A file for each entry would be much ado where entries come and go.
    if (is_active(first->first) && active == Active::keep_for_more &&
        first->second.disk_octets < config_.segment_octets / 2) {
      return;
    }
    remove_segment(first);
  }
}

void Spool::remove_segment(std::map<uint64_t, Segment>::iterator segment) {
  cursor_ = {segment->first + 1, kSpoolFileHeaderOctets};
  next_ = std::max(next_, cursor_);
  // First the cursor: a file that is left over is then not given out again.
  write_cursor();
  remove_file(segment->first);
}

void Spool::remove_file(uint64_t number) {
  if (is_active(number)) {
    has_active_ = false;
    unsynced_ = 0;
  }
  const auto segment = segments_.find(number);
  ::unlink(segment->second.file.path().c_str());
  subtract(counters_.octets, segment->second.disk_octets);
  segments_.erase(segment);
}

}  // namespace weir::outbound
