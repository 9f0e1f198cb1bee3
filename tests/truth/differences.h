// differences.h — Where an expected decode is allowed to differ from ours: the table of
// docs/PROTOCOLS.md, read from there so that there is only one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace weir::truth {

/// A row: in goldens whose path contains `golden`, the values named `field` (`*` stands for any
/// beginning or any rest). Exactly `values` of them differ; the first row that fits has them.
struct Difference {
  std::string golden;
  std::string field;
  uint64_t values = 0;
  std::string why;
  uint64_t seen = 0;
};

class Differences {
 public:
  /// Of the document's section "Expected decodes that differ".
  static Differences read();

  /// Counts the value under its row; null where no row explains it.
  const Difference* explain(const std::string& golden, const std::string& field);
  const std::vector<Difference>& rows() const { return rows_; }

 private:
  std::vector<Difference> rows_;
};

/// Whether the document has a row that begins with this.
bool has_row(const std::string& first_cell);

}  // namespace weir::truth
