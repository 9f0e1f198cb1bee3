// record_view.h — A record on its way, as conditions of rules see it.
//
// Runs on:  made on any thread, for the conditions of one set of rules; show: rx_lcore.
// Bounds:   only the fields that some condition names are filled in.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "flow/export_header.h"
#include "flow/flow_view.h"
#include "rules/program.h"

namespace weir::classify {

/// The fields that `program` asks for.
class RecordFields {
 public:
  /// Fails on what a record does not have: lists, and what is made when it is encoded.
  static Result<RecordFields> of(const rules::Program& program, size_t begin = 0);
  void add(const RecordFields& others);

  /// Fills them into `view`, which is otherwise left as it is.
  void show(const ExportHeader& header, const FlowRecord& record, const uint8_t* arena, FlowView& view) const noexcept;

 private:
  void add(NumberSlot slot);
  void add(OctetsSlot slot);
  std::vector<NumberSlot> numbers_;
  std::vector<OctetsSlot> octets_;
};

}  // namespace weir::classify
