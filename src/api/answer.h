// answer.h — A question under way: the store is asked, and its rows become the body of a response as they come.
//
// Runs on:  api_thread.
// Bounds:   kBufferedOctets are held before the response begins, so that what fails early fails with a status.
// Failure:  early an error response; late a body that is cut, in JSON never a whole object.
#pragma once

#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/backend.h"
#include "api/cursor.h"
#include "api/http.h"
#include "api/row_format.h"
#include "query/translate.h"

namespace weir::api {

inline constexpr size_t kBufferedOctets = 64 * 1024;

class Answer;

/// What all questions share.
struct Desk {
  size_t running = 0;
  size_t running_max = 3;
  size_t waiting_max = 64;
  std::deque<std::weak_ptr<Answer>> waiting;  // some of them may have gone
  uint64_t asked = 0;
  uint64_t turned_away = 0;
  uint64_t rows = 0;
  uint64_t failed = 0;
  double seconds = 0;  // of those that are over, from when they came
  size_t waiting_now() const noexcept;
};

struct Question {
  std::shared_ptr<Desk> desk;
  Backend* backend = nullptr;
  StoreQuery store;
  std::optional<StoreQuery> probe;  // answers what stands in store.parameters[cut]
  size_t cut = 0;

  Format format = Format::json;
  JsonRows json_rows = JsonRows::objects;
  std::string head;                 // of JSON: members before the rows, each with a comma behind it
  std::optional<ColumnNames> columns;  // none: as the store calls them
  std::vector<std::string> more_cells;  // behind each row, for the last of `columns`
  uint64_t rows_max = 0;            // one more came: there are more. 0: as the store says
  bool has_page_columns = false;    // behind each row, not shown
  query::TimeWindow window;         // for cursors, with the text that they are good for
  std::vector<std::string> notes;   // for the header, which every format has
  std::optional<query::PageStart> page;
  std::string text;
  bool is_srql = false;             // SQL that this program wrote: what the store refuses is no mistake of the asker's
  bool has_regular_expression = false;  // unless it is this
};

/// The value of kNotesHeader.
std::string notes_header(const std::vector<std::string>& notes);

Work ask(Question question, Done done);

}  // namespace weir::api
