#include "control/books_audit.h"

namespace weir::control {

void BooksAudit::on_check(const std::string& whose, const std::vector<Discrepancy>& found) {
  if (found.empty()) {
    standing_.erase(whose);
    return;
  }
  ++mismatches_;
  std::vector<Discrepancy>& before = standing_[whose];
  if (before != found) {
    for (const Discrepancy& d : found) say_(whose + ": " + d.text());
  }
  before = found;
}

std::vector<std::string> BooksAudit::standing() const {
  std::vector<std::string> lines;
  for (const auto& [whose, found] : standing_) {
    for (const Discrepancy& d : found) lines.push_back(whose + ": " + d.text());
  }
  return lines;
}

}  // namespace weir::control
