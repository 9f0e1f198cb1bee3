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
/// As templates write it.
bool append_text(const Cell& cell, Scratch& scratch, std::string_view& text) noexcept;
/// Addresses that are not routed between networks: RFC 1918, RFC 4193, RFC 6598, loopback and link-local.
bool is_private_address(const IpAddress& address) noexcept;

}  // namespace weir::rules
