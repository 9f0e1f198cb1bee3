// plan_times.h — Which of a template's fields tell when a flow began and ended.
//
// Spec:     docs/FLOW_MESSAGE.md; RFC 7011 §6.1.7 to §6.1.10.
// Runs on:  the decoder's thread, when a template is compiled.
// Bounds:   kTimeCandidatesMax statements of an instant.
#pragma once

#include "decode/elements.h"
#include "decode/plan_writer.h"

namespace weir::decode {

class PlanTimes {
 public:
  explicit PlanTimes(PlanWriter& writer) noexcept : writer_(writer), plan_(writer.plan()) {}

  /// Whether the i-th field is taken up as a time; else it is as any other element.
  bool add(const TimeUse& use, uint16_t i, uint32_t offset, CompileQuirks& quirks) noexcept;
  /// When all fields have been seen: operations for the usual pairs, and what else says the same instants
  /// is kept as it came.
  void finish() noexcept;

 private:
  static bool insert(TimeCandidate (&list)[kTimeCandidatesMax], uint8_t& count,
                     const TimeCandidate& c) noexcept;
  void keep_rest(const TimeCandidate (&list)[kTimeCandidatesMax], uint8_t count) noexcept;
  void keep(const TimeCandidate& c) noexcept;

  PlanWriter& writer_;
  Plan& plan_;
  TimeCandidate observed_{};
};

}  // namespace weir::decode
