// decode_output.h — What `weir decode` prints: records in the form asked for, on standard output in large writes.
//
// Runs on:  main.
// Failure:  a reader that went away ends the work without a word; other errors are kept for whoever ends the program.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "export/encoder.h"
#include "export/outbound_batch.h"
#include "export/sflow_encoder.h"
#include "flow/export_header.h"
#include "rules/rule_set.h"
#include "transform/decision_writer.h"
#include "transform/ocsf_event.h"

namespace weir::cli {

enum class DecodeFormat : uint8_t { json, table, protobuf, ocsf };

/// Of a name that the command line has checked.
DecodeFormat decode_format_of(const std::string& name);

class DecodeOutput {
 public:
  std::string& text() { return text_; }
  void flush_if_large() {
    if (text_.size() >= kFlushOctets) flush();
  }
  void flush_if_any() {
    if (!text_.empty()) flush();
  }
  void flush();
  bool is_closed() const { return error_ != 0; }
  bool reader_left() const;
  int error() const { return error_; }

 private:
  static constexpr size_t kFlushOctets = 256 * 1024;
  std::string text_;
  int error_ = 0;
};

/// Encodes bursts as the appliance does and prints what a consumer would read.
class PrintingSink final : public RecordSink {
 public:
  /// `rules`, which may be null, outlive it; only events go by them.
  PrintingSink(DecodeFormat format, DecodeOutput& output, const rules::RuleSet* rules);

  void on_records(const RecordBurst& burst) noexcept override;
  // A table and a FlowBatch have room for flows only; the summary counts the others. A discarded packet is network activity, counters are not.
  void on_counters(const SflowCounters& sample) noexcept override;
  void on_discard(const SflowDiscard& discard) noexcept override;

  /// Records that what reads them refuses, which is an error of ours.
  uint64_t unreadable() const { return unreadable_; }
  /// Flows that rules left out, and what they did one by one.
  uint64_t dropped() const { return dropped_; }
  uint64_t sampled_out() const { return sampled_out_; }
  uint64_t undecided() const { return undecided_; }
  std::span<const rules::RuleCounts> rule_counts() const { return rule_counts_; }

 private:
  template <class Sample>
  void print_line(outbound::RecordKind kind, const Sample& sample);
  void print(std::span<const uint8_t> batch);
  void print_events(std::span<const uint8_t> batch);
  void print_discard(const SflowDiscard& discard);
  void print_event(const FlowView& flow, std::optional<uint32_t> discard_reason);

  const DecodeFormat format_;
  DecodeOutput& output_;
  outbound::Encoder encoder_;
  outbound::SflowEncoder sflow_encoder_;
  const transform::OcsfWriter events_;
  std::vector<char> event_ = std::vector<char>(transform::kEventOctetsMax);
  const rules::RuleSet* const rules_;
  rules::Scratch scratch_;
  rules::Outcome outcome_;
  transform::DecisionWriter decision_writer_;
  std::vector<rules::RuleCounts> rule_counts_;
  uint64_t dropped_ = 0;
  uint64_t sampled_out_ = 0;
  uint64_t undecided_ = 0;  // a decision file has no result for them
  std::vector<uint8_t> encoded_;
  bool heading_printed_ = false;
  uint64_t unreadable_ = 0;
};

}  // namespace weir::cli
