// cell_functions.h — What operators and functions make of cells, for a program that runs.
//
// Failure:  false where there is no value; the caller counts it.
#pragma once

#include <span>

#include "rules/ast.h"
#include "rules/program.h"

namespace weir::rules {

bool apply(BinaryOperator op, const Cell& left, const Cell& right, Scratch& scratch, Cell& result) noexcept;
bool call(CellFunction function, std::span<const Cell> arguments, Scratch& scratch, Cell& result) noexcept;
/// A whole number, in its place.
// PERF: the halves of a number that have just been stored are slow to be copied as one (rules, perf/bench_transform).
inline void set_number(Cell& cell, uint64_t v) noexcept {
  cell.kind = CellKind::number;
  cell.boolean = false;
  cell.number = Decimal(v);
  cell.text = {};
}
/// `rounding` of left / right, which is floor or trunc. `result` may be one of both.
bool whole_quotient(CellFunction rounding, const Cell& left, const Cell& right, Scratch& scratch, Cell& result) noexcept;
/// As templates write it.
bool append_text(const Cell& cell, Scratch& scratch, std::string_view& text) noexcept;
/// Addresses that are not routed between networks: RFC 1918, RFC 4193, RFC 6598, loopback and link-local.
bool is_private_address(const IpAddress& address) noexcept;

}  // namespace weir::rules
