// identity_ledger.h — Which messages have been stored, by their identities: so that what comes again is stored once.
//
// Spec:     docs/FLOW_MESSAGE.md, "Messages on the broker": Nats-Msg-Id is <appliance>.<start>.<core>.<sequence>[.part]. Other ids are
//           remembered one by one; a message without an id, or with one of more than 256 octets, is known by its stream, when that was
//           made, and its sequence there.
// Runs on:  one thread. Pure.
// Bounds:   Limits. Beyond, the source that was quiet longest is forgotten, or the oldest id.
// Failure:  what is older than what is remembered is `unsure`: to be stored rather than lost, and counted.
//
// What changed since it was last asked goes into the store in the transaction that has the rows.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "store/run_set.h"

namespace weir::store {

/// Whose numbers they are: `<appliance>.<start>.<core>`, or `<stream>@<when it was made>`.
struct MessageName {
  std::string source;  // empty: an id of another form
  BatchPlace place;
  std::string id;
};

struct MessageOrigin {
  std::string_view id;  // Nats-Msg-Id; empty: none
  std::string_view stream;
  std::string_view stream_created;
  uint64_t stream_sequence = 0;
};
MessageName name_of_message(const MessageOrigin& origin);

class IdentityLedger {
 public:
  struct Limits {
    size_t sources_max = 4096;  // a run of a collector has one for each core
    size_t runs_max = RunSet::kRunsMax;
    size_t ids_max = 65'536;
  };
  struct SourceState {
    std::string source;
    std::string runs;  // empty: it is forgotten
  };
  struct Changes {
    std::vector<SourceState> sources;
    std::vector<std::string> ids;           // new ones
    std::vector<std::string> ids_forgotten;
    bool empty() const noexcept { return sources.empty() && ids.empty() && ids_forgotten.empty(); }
  };

  IdentityLedger() = default;
  explicit IdentityLedger(Limits limits) : limits_(limits) {}

  /// What was stored before, oldest first. False where that is no set of runs.
  bool restore_source(std::string source, std::string_view runs);
  void restore_id(std::string id);

  /// Whether it has been taken; changes nothing.
  bool has(const MessageName& name) const;
  Verdict take(const MessageName& name);
  /// Since the last call.
  Changes changes();

  size_t sources() const noexcept { return sources_.size(); }
  size_t ids() const noexcept { return ids_.size(); }
  uint64_t sources_forgotten() const noexcept { return sources_forgotten_; }
  uint64_t ids_forgotten() const noexcept { return ids_forgotten_; }
  /// Of the source with most of them.
  size_t runs_most() const noexcept;

 private:
  struct Source {
    RunSet runs;
    uint64_t age = 0;
    bool is_changed = false;
  };
  void touch(const std::string& name, Source& source);
  void forget_quiet_sources();

  const Limits limits_{};
  std::unordered_map<std::string, Source> sources_;
  std::map<uint64_t, std::string> by_age_;  // quiet longest first
  uint64_t last_age_ = 0;
  std::vector<std::string> changed_;
  std::vector<std::string> gone_;
  std::unordered_set<std::string> ids_;
  std::deque<std::string> ids_by_age_;
  std::vector<std::string> ids_new_, ids_gone_;
  uint64_t sources_forgotten_ = 0;
  uint64_t ids_forgotten_ = 0;
};

}  // namespace weir::store
