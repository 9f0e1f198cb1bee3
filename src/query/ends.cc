#include "query/ends.h"

#include <bit>
#include <optional>

namespace weir::query {
namespace {

using PK = Predicate::Kind;

unsigned common_bits(const IpAddress& a, const IpAddress& b) noexcept {
  unsigned bits = 0;
  for (size_t i = 0; i < a.octets.size(); ++i, bits += 8) {
    const auto differ = static_cast<uint8_t>(a.octets[i] ^ b.octets[i]);
    if (differ != 0) return bits + static_cast<unsigned>(std::countl_zero(differ));
  }
  return bits;
}

bool is_narrow(const EndRange& range) noexcept {
  return common_bits(range.first, range.last) >= (range.first.is_v4() && range.last.is_v4() ? kNarrowBitsV4 : kNarrowBitsV6);
}

/// Of a condition on one end; nothing where it says little.
std::optional<EndClause> ranges_of(const Predicate& p) {
  const bool is_src = p.column == "f.src_endpoint_addr";
  if (!is_src && p.column != "f.dst_endpoint_addr") return std::nullopt;
  const bool is_equal = p.kind == PK::compare && p.comparison == Comparison::equal;
  if (!is_equal && p.kind != PK::in && p.kind != PK::between) return std::nullopt;
  EndClause clause;
  for (size_t i = 0; i < p.values.size(); ++i) {
    const auto* const first = std::get_if<IpAddress>(&p.values[i]);
    if (p.kind == PK::between) ++i;
    const auto* const last = std::get_if<IpAddress>(&p.values[i]);
    if (first == nullptr || last == nullptr) return std::nullopt;
    clause.push_back({is_src ? End::src : End::dst, *first, *last});
    if (clause.size() > kEndRangesMax || !is_narrow(clause.back())) return std::nullopt;
  }
  return clause;
}

/// What follows from it, in one clause; nothing where nothing does.
std::optional<EndClause> clause_of(const Predicate& p) {
  std::optional<EndClause> found;
  switch (p.kind) {
    case PK::any:  // all that its parts say
      for (const Predicate& part : p.parts) {
        const auto clause = clause_of(part);
        if (!clause) return std::nullopt;
        if (!found) found.emplace();
        found->insert(found->end(), clause->begin(), clause->end());
        if (found->size() > kEndRangesMax) return std::nullopt;
      }
      return found;
    case PK::all:  // what one of its parts says is true already: the shortest
      for (const Predicate& part : p.parts) {
        auto clause = clause_of(part);
        if (clause && (!found || clause->size() < found->size())) found = std::move(clause);
      }
      return found;
    default: return ranges_of(p);
  }
}

void add_clauses(const Predicate& p, std::vector<EndClause>& out) {
  if (p.kind == PK::all) {
    for (const Predicate& part : p.parts) add_clauses(part, out);
    return;
  }
  if (out.size() >= kEndClausesMax) return;
  if (auto clause = clause_of(p)) out.push_back(std::move(*clause));
}

}  // namespace

std::vector<EndClause> ends_of(const Plan& plan) {
  std::vector<EndClause> clauses;
  add_clauses(plan.filter, clauses);
  return clauses;
}

}  // namespace weir::query
