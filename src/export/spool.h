// spool.h — What cannot be published waits on disk: first in, first out, over restarts and power cuts.
//
// Runs on:  one thread, a publisher's.
// Owns:     the files of its folder, which it locks.
// Bounds:   octets_max on disk, in files of segment_octets; kSpoolTakenMax entries handed out.
// Failure:  append says why an entry was not taken, and nothing of it stays. What a crash cut or a disk
//           changed is counted; what is before it in that file, and all other files, are read.
//
// An entry is given out by take, and gone once it was released; over a restart those that were not are
// given out again. A file is removed when all of it was released.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/counter.h"
#include "base/named_enum.h"
#include "base/result.h"
#include "export/spool_segment.h"

namespace weir::outbound {

/// When what was appended is made to reach the disk: when the kernel likes, about once a second, or
/// before append returns.
#define WEIR_SPOOL_SYNCS(X) X(never) X(interval) X(each)
WEIR_NAMED_ENUM(SpoolSync, uint8_t, WEIR_SPOOL_SYNCS)

#define WEIR_SPOOL_APPENDS(X) X(stored) X(full) X(too_large) X(write_error)
WEIR_NAMED_ENUM(SpoolAppend, uint8_t, WEIR_SPOOL_APPENDS)

inline constexpr size_t kSpoolTakenMax = 65'536;

struct SpoolConfig {
  std::string dir;  // made if it is not there
  uint64_t octets_max = 1ull << 30;
  uint64_t segment_octets = 0;  // 0: what fits octets_max
  uint64_t age_max_ns = 0;      // older entries are not given out; 0: any age
  SpoolSync sync = SpoolSync::interval;
};

/// What may change while it is open.
struct SpoolLimits {
  uint64_t octets_max = 1ull << 30;
  uint64_t age_max_ns = 0;
  SpoolSync sync = SpoolSync::interval;
  friend bool operator==(const SpoolLimits&, const SpoolLimits&) = default;
};

/// Single-writer, read by any thread.
struct SpoolCounters {
  Counter entries;  // gauges: stored, and not released
  Counter records;
  Counter octets;            // on disk
  Counter restored_entries;  // found at the start
  Counter restored_records;
  Counter expired_entries;
  Counter expired_records;
  Counter damaged_octets;
  Counter damaged_records;  // as far as their number could be read
};

class Spool {
 public:
  struct Place {
    uint64_t segment = 0;
    uint64_t offset = 0;
    friend auto operator<=>(const Place&, const Place&) = default;
  };
  struct Given {
    Place place;
    SpoolEntry entry;  // its views point into the room
  };

  static Result<std::unique_ptr<Spool>> open(const SpoolConfig& config);
  /// Whether another Spool has that folder now. Makes nothing.
  static bool is_taken(const std::string& dir);
  ~Spool();
  Spool(const Spool&) = delete;
  Spool& operator=(const Spool&) = delete;

  /// Where there is no room, what is too old by the time of `entry` goes first.
  SpoolAppend append(const SpoolEntry& entry);

  /// The oldest entry that is not out, read into `room`. Nothing where there is none, or kSpoolTakenMax
  /// are out.
  std::optional<Given> take(std::vector<uint8_t>& room, uint64_t wall_now_ns);
  /// It need not be stored any longer.
  void release(Place place);
  /// Whatever is out and not released will be given out again, oldest first.
  void put_back_all() noexcept;

  /// Nothing is left to give out.
  bool is_empty() const noexcept { return counters_.entries.value() == out_; }
  /// SpoolSync::interval, and the place up to which all was released.
  void tick(uint64_t steady_now_ns);
  /// The same at once; unless SpoolSync::never.
  void flush();

  /// From now on. Where more is on disk already, nothing is taken until it is less.
  void set_limits(const SpoolLimits& limits) noexcept;

  const SpoolConfig& config() const noexcept { return config_; }
  const SpoolCounters& counters() const noexcept { return counters_; }
  /// Why the last append was not stored, or not flushed; empty when it was, or when there is room again for what found none.
  const std::string& last_error() const noexcept { return last_error_; }

 private:
  struct Segment {
    SpoolSegment file;
    uint64_t disk_octets = 0;
    uint64_t entries_left = 0;  // not taken yet
    uint64_t records_left = 0;
  };
  struct Taken {
    Place place;
    uint64_t end = 0;  // the offset behind it
    uint32_t records = 0;
    bool is_out = false;
    bool is_released = false;
  };

  explicit Spool(const SpoolConfig& config);
  Result<void> lock();
  Result<void> load();
  Result<void> load_segment(uint64_t number, Place from, SpoolSegment::Check check);
  std::string path_of(uint64_t number) const;
  bool fits_active(uint64_t octets) const noexcept;
  bool fits_disk(uint64_t octets) const noexcept;
  void forget_fullness();
  bool write(const SpoolEntry& entry);
  bool begin_segment();
  std::optional<Given> take_again(std::vector<uint8_t>& room);
  std::optional<SpoolEntry> read_next(std::vector<uint8_t>& room);
  void pass_over(const SpoolEntry& entry);
  bool is_expired(const SpoolEntry& entry, uint64_t wall_now_ns) const noexcept;
  void count_expired(const SpoolEntry& entry) noexcept;
  void forget_expired(uint64_t wall_now_ns);
  void leave_damaged(Segment& segment, uint64_t octets_before) noexcept;
  void forget_released();
  enum class Active : uint8_t { keep_for_more, remove_too };
  void remove_released_segments(Active active);
  void remove_segment(std::map<uint64_t, Segment>::iterator segment);
  void remove_file(uint64_t number);
  bool is_active(uint64_t number) const noexcept;
  void write_cursor();
  std::optional<Place> read_cursor();

  SpoolConfig config_;
  int dir_fd_ = -1;
  int lock_fd_ = -1;
  int cursor_fd_ = -1;
  std::map<uint64_t, Segment> segments_;  // by number; the last is appended to, if it is ours
  bool has_active_ = false;
  uint64_t next_number_ = 1;
  Place next_;    // what is taken next
  Place cursor_;  // all before it was released
  uint64_t cursor_generation_ = 0;
  bool cursor_moved_ = false;
  std::deque<Taken> taken_;  // by place
  size_t again_ = 0;         // in taken_, where to look for what was put back
  size_t out_ = 0;
  uint64_t none_expires_until_ns_ = 0;  // of what was not given out
  std::vector<uint8_t> scan_room_;
  uint64_t unsynced_ = 0;
  uint64_t next_sync_ns_ = 0;
  uint64_t refused_octets_ = 0;  // of the entry that found the disk full; 0: the last one did not
  std::string last_error_;
  SpoolCounters counters_;
};

}  // namespace weir::outbound
