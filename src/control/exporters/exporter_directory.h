// exporter_directory.h — What exporters call their interfaces, VRFs, applications and samplers, and what the
// operator's own list says before them.
//
// Runs on:  control_thread.
// Bounds:   DirectoryLimits: names and octets for each exporter (what is beyond is counted and told in
//           `omitted`), octets in all (the exporter whose names changed longest ago is forgotten). The
//           operator's list has bounds of its own (exporter_list.h) and is never forgotten.
//
// An exporter whose table changed is due for publication, once its table has been quiet for
// settle_ns, and at least every settle_max_ns while it goes on changing: options tables come in
// bursts, and one message holds them all.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/ip_address.h"
#include "base/thread_roles.h"
#include "control/exporters/exporter_list.h"
#include "decode/events.h"
#include "exporter.pb.h"

namespace weir::control {

struct DirectoryLimits {
  uint32_t names_per_exporter = 8192;
  uint64_t octets_per_exporter = 512ull << 10;  // so that one message fits NATS' usual 1 MiB
  uint64_t octets_total = 64ull << 20;
  uint64_t settle_ns = kNsPerSec;
  uint64_t settle_max_ns = 10 * kNsPerSec;
};

struct DirectoryCounters {
  uint64_t exporters = 0;  // gauge
  uint64_t names = 0;      // gauge
  uint64_t octets = 0;     // gauge
  uint64_t changes = 0;
  uint64_t omitted = 0;    // names for which there was no room
  uint64_t forgotten = 0;  // exporters
};

class ExporterDirectory {
 public:
  explicit ExporterDirectory(const DirectoryLimits& limits = {}, std::string partition = {});

  /// The operator's list from now on, which goes before what options data say; null: there is none. Tables that
  /// it changes are due, also of exporters that have said nothing, or nothing yet.
  void set_list(std::shared_ptr<const ExporterList> list, uint64_t steady_now_ns, uint64_t wall_now_ns)
      WEIR_RUNS_ON(control_thread);

  void on_event(const decode::Event& event, uint64_t steady_now_ns) WEIR_RUNS_ON(control_thread);

  /// The next exporter whose table is due, whole; false when there is none. It is not taken again
  /// before published() or put_back() was called for it.
  bool take_due(uint64_t steady_now_ns, flowpb::ExporterInfo& out) WEIR_RUNS_ON(control_thread);
  void published(const IpAddress& exporter) WEIR_RUNS_ON(control_thread);
  /// What was taken did not arrive, and shall be taken again.
  void put_back(const IpAddress& exporter, uint64_t steady_now_ns) WEIR_RUNS_ON(control_thread);
  /// Another reader is there, who has none of the tables yet.
  void publish_all_again(uint64_t steady_now_ns) WEIR_RUNS_ON(control_thread);
  /// At the end: nothing settles any more.
  void make_all_due() WEIR_RUNS_ON(control_thread);
  size_t changed() const noexcept { return changed_.size(); }

  /// All tables, longest unchanged first; and back. What is restored is due for publication again, so
  /// that the stream has it whatever became of the stream.
  void save(flowpb::ExporterInfoList& out) const WEIR_RUNS_ON(control_thread);
  void restore(const flowpb::ExporterInfoList& list, uint64_t steady_now_ns)
      WEIR_RUNS_ON(control_thread);

  /// The table of an exporter; false when it has said nothing.
  bool find(const IpAddress& exporter, flowpb::ExporterInfo& out) const;
  /// What the operator calls it, else what options data do; empty: nothing.
  std::string interface_name(const IpAddress& exporter, uint32_t index) const;
  /// What the operator calls it; empty: nothing.
  std::string exporter_name(const IpAddress& exporter) const;
  /// Appends what is known to the records of a decode::StateImage, whose octets stay within `octets_max`.
  void append_state(std::vector<uint8_t>& records, size_t octets_max) const;
  const DirectoryCounters& counters() const noexcept { return counters_; }

 private:
  struct Named {
    std::string name;
    std::string description;
    uint64_t rate = 0;
    friend bool operator==(const Named&, const Named&) = default;
  };
  struct Entry {
    uint64_t first_seen_ns = 0;  // kNeverSeen: only listed
    uint64_t last_seen_ns = 0;
    uint64_t version = 0;
    uint64_t omitted = 0;
    uint64_t octets = 0;
    std::map<std::pair<decode::NameKind, std::string>, Named> names;  // by kind and key
    std::list<IpAddress>::iterator by_change;
    std::list<IpAddress>::iterator changed;  // where it is due
    bool is_changed = false;
    bool is_taken = false;
    uint64_t first_change_ns = 0;  // that is not published; steady
    uint64_t last_change_ns = 0;
  };
  using Entries = std::map<IpAddress, Entry>;

  Entries::iterator find_or_add(const IpAddress& exporter, uint64_t first_seen_ns);
  void put(Entries::iterator it, decode::NameKind kind, const std::string& key, Named after);
  void make_room(const IpAddress& keep);
  void mark_changed(Entries::iterator it, uint64_t steady_now_ns);
  void forget(Entries::iterator it);
  bool is_due(const Entry& entry, uint64_t steady_now_ns) const;
  void write(const IpAddress& address, const Entry& entry, flowpb::ExporterInfo& out) const;
  void write_listed(const IpAddress& address, flowpb::ExporterInfo& out) const;
  const ListedExporter* listed(const IpAddress& exporter) const noexcept;

  const DirectoryLimits limits_;
  const std::string partition_;
  std::shared_ptr<const ExporterList> list_;  // its exporters have entries; null: none
  Entries entries_;
  std::list<IpAddress> by_change_;  // longest ago first
  std::list<IpAddress> changed_;    // not published; in the order in which they changed
  bool all_due_ = false;
  DirectoryCounters counters_;
};

std::string_view name_of(flowpb::InterfaceBoundary boundary) noexcept;

/// Whose table it is; nothing where it does not say.
std::optional<IpAddress> address_of(const flowpb::ExporterInfo& info);

/// `192-0-2-1`, `2001-db8--1`: an address as one token of a subject.
std::string subject_token(const IpAddress& address);

/// One line of JSON, kind `EXPORTER_INFO`, with a newline.
void append_exporter_json_line(const flowpb::ExporterInfo& info, std::string& out);

}  // namespace weir::control
