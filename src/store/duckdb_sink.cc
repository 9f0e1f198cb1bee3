#include "store/duckdb_sink.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "base/clock.h"
#include "store/row_chunk.h"

namespace weir::store {
namespace {

constexpr int kReopenWaitMs = 30'000;
constexpr int kHoldTriesMax = 50;
/// Longer than until the next try.
constexpr uint64_t kQuietNs = 3 * kNsPerSec;
constexpr uint64_t kRefusedMaxNs = 30 * kNsPerSec;
constexpr size_t kListMax = 1024;  // in one statement

/// Runs a statement for each kListMax of them, with their texts in a list.
template <class Text, class Run>
Result<void> with_lists(std::span<const std::string> of, Text text, Run run) {
  for (; !of.empty(); of = of.subspan(std::min(of.size(), kListMax))) {
    std::string list;
    for (const std::string& one : of.first(std::min(of.size(), kListMax))) list += fmt::format("{}{}", list.empty() ? "" : ",", text(one));
    if (auto done = run(list); !done) return done.error();
  }
  return {};
}

Result<std::vector<std::string>> texts_of(Connection& connection, const std::string& sql, size_t columns) {
  auto rows = connection.query(sql);
  if (!rows) return rows.error();
  std::vector<std::string> texts;
  while (true) {
    auto chunk = rows->next();
    if (!chunk) return chunk.error();
    if (!*chunk) return texts;
    for (size_t row = 0; row < chunk->rows(); ++row) {
      for (size_t at = 0; at < columns; ++at) texts.emplace_back(chunk->text(at, row));
    }
  }
}

}  // namespace

Result<void> prepare_identities(Connection& connection) {
  auto made = connection.execute(
      "CREATE TABLE IF NOT EXISTS identity_sources (source VARCHAR NOT NULL, runs VARCHAR NOT NULL, seen BIGINT NOT NULL);"
      "CREATE TABLE IF NOT EXISTS identity_ids (id VARCHAR NOT NULL, seen BIGINT NOT NULL);"
      "CREATE TABLE IF NOT EXISTS last_commit (number BIGINT NOT NULL);"
      "INSERT INTO last_commit SELECT 0 WHERE NOT EXISTS (FROM last_commit);");
  if (!made) return made.error();
  return {};
}

Result<void> DuckdbSink::connect() {
  if (is_broken_) {
    source_.reset();
    connection_.reset();
    database_.reset();
    if (auto opened = store_.reopen(kReopenWaitMs); !opened) return opened;
    is_broken_ = false;
  }
  if (connection_) return {};
  database_ = store_.database();
  if (database_ == nullptr) {
    if (auto opened = store_.reopen(kReopenWaitMs); !opened) return opened;
    database_ = store_.database();
  }
  auto connection = database_->connect();
  if (!connection) return connection.error();
  auto source = RowSource::make(*connection);
  if (!source) return source.error();
  connection_.emplace(std::move(*connection));
  source_.emplace(std::move(*source));
  tables_.clear();
  return {};
}

Error DuckdbSink::failed(Error error) {
  is_broken_ |= is_fatal(error);
  is_unsure_ = true;
  tables_.clear();
  return error;
}

Result<StoredIdentities> DuckdbSink::identities() {
  if (auto connected = connect(); !connected) return connected.error();
  StoredIdentities stored;
  auto sources = texts_of(*connection_, "SELECT source, runs FROM identity_sources ORDER BY seen", 2);
  if (!sources) return failed(sources.error());
  for (size_t i = 0; i + 1 < sources->size(); i += 2) stored.sources.push_back({(*sources)[i], (*sources)[i + 1]});
  auto ids = texts_of(*connection_, "SELECT id FROM identity_ids ORDER BY seen", 1);
  if (!ids) return failed(ids.error());
  stored.ids = std::move(*ids);
  auto last = texts_of(*connection_, "SELECT coalesce(max(seen), 0)::VARCHAR FROM (SELECT seen FROM identity_sources UNION ALL SELECT seen FROM identity_ids)", 1);
  if (!last) return failed(last.error());
  last_seen_ = std::stoll(last->front());
  return stored;
}

/// Has tables with these columns. A new hour's begins with those that were used of late: to add one to a table takes 20 ns a row of it.
Result<void> DuckdbSink::open_tables(std::span<const int64_t> hours, const ColumnSet& used) {
  std::vector<int64_t> missing;
  for (const int64_t hour : hours) {
    const auto there = tables_.find(hour);
    if (there == tables_.end() || (used & ~there->second.set()).any()) missing.push_back(hour);
  }
  used_now_ |= used;
  if (missing.empty()) return {};
  if (auto opened = open_hours(*connection_, missing, used, used_now_ | used_before_); !opened) return opened;
  auto tables = hour_tables(*connection_);
  if (!tables) return tables.error();
  const bool is_newer = !tables_.empty() && !tables->empty() && tables->back().hour > tables_.rbegin()->first;
  if (is_newer) used_before_ = std::exchange(used_now_, used);
  tables_.clear();
  for (HourTable& table : *tables) tables_.emplace(table.hour, std::move(table));
  return {};
}

/// After an error in the midst of a commit only the store itself knows.
Result<bool> DuckdbSink::has_committed(const CommitBatch& batch) {
  auto rows = connection_->query("SELECT 1 FROM last_commit WHERE number = ?",
                                 std::array<SqlValue, 1>{static_cast<int64_t>(batch.number)});
  if (!rows) return rows.error();
  auto chunk = rows->next();
  if (!chunk) return chunk.error();
  return static_cast<bool>(*chunk);
}

Result<void> DuckdbSink::write(CommitBatch& batch) {
  if (batch.number == last_number_) return {};
  if (auto connected = connect(); !connected) return failed(connected.error());
  if (std::exchange(is_unsure_, false)) {
    const auto committed = has_committed(batch);
    is_unsure_ = !committed;
    if (!committed) return failed(committed.error());
    if (*committed) {
      last_number_ = batch.number;
      return {};
    }
  }
  std::vector<int64_t> hours;
  ColumnSet used;
  for (const HourRows& rows : batch.hours) {
    hours.push_back(rows.hour);
    for (const auto& chunk : rows.chunks) used |= chunk->used();
  }
  for (int tries = 1;; ++tries) {
    if (auto opened = open_tables(hours, used); !opened) return failed(opened.error());
    const auto written = try_write(batch, hours);
    if (written && *written) {
      last_number_ = batch.number;
      return {};
    }
    // After a commit that failed there is nothing left to roll back.
    (void)connection_->execute("ROLLBACK");
    if (!written && !is_conflict(written.error())) return failed(written.error());
    if (tries == kHoldTriesMax) {
      return failed(written ? Error{"an hour's table is dropped again and again"} : written.error());
    }
    tables_.clear();
  }
}

/// False where a table that was there has gone.
Result<bool> DuckdbSink::try_write(CommitBatch& batch, std::span<const int64_t> hours) {
  if (auto begun = connection_->execute("BEGIN"); !begun) return begun.error();
  if (!hours.empty()) {
    const auto held = hold_hours(*connection_, hours);
    if (!held || !*held) return held;
  }
  for (HourRows& rows : batch.hours) {
    const auto inserted = source_->insert(*connection_, hour_table(rows.hour), tables_.at(rows.hour).columns, rows.chunks);
    if (!inserted) return inserted.error();
  }
  if (auto written = write_identities(batch.identities); !written) return written.error();
  auto numbered = connection_->execute(fmt::format("UPDATE last_commit SET number = {}", batch.number));
  if (!numbered) return numbered.error();
  if (auto committed = connection_->execute("COMMIT"); !committed) return committed.error();
  return true;
}

Result<void> DuckdbSink::write_identities(const IdentityLedger::Changes& changes) {
  // A number of its own, for what is seen first is forgotten first, whatever becomes of the clock.
  for (const auto& source : changes.sources) {
    if (source.runs.empty()) {
      auto gone = connection_->query("DELETE FROM identity_sources WHERE source = ?", std::array<SqlValue, 1>{source.source});
      if (!gone) return gone.error();
      continue;
    }
    const std::array<SqlValue, 3> row{source.source, source.runs, ++last_seen_};
    for (const char* sql : {"UPDATE identity_sources SET runs = $2, seen = $3 WHERE source = $1",
                            "INSERT INTO identity_sources SELECT $1, $2, $3 WHERE NOT EXISTS (FROM identity_sources WHERE source = $1)"}) {
      if (auto done = connection_->query(sql, row); !done) return done.error();
    }
  }
  // In one statement each: one for each id would look through the table each time.
  const auto added = with_lists(
      changes.ids, [&](const std::string& id) { return fmt::format("({},{})", sql_text(id), ++last_seen_); },
      [&](const std::string& list) { return connection_->execute(fmt::format("INSERT INTO identity_ids VALUES {}", list)); });
  if (!added) return added;
  return with_lists(changes.ids_forgotten, sql_text,
                    [&](const std::string& list) { return connection_->execute(fmt::format("DELETE FROM identity_ids WHERE id IN ({})", list)); });
}

Result<void> DuckdbSink::tidy() {
  const uint64_t wal = store_.wal_octets();
  if (wal < kWalOctetsMax) return {};
  const uint64_t room = store_.free_octets();
  if (room < 2 * wal) {
    return Error{fmt::format("{} MiB are free where {} lies; the log of {} MiB stays beside it until there are twice as many",
                             room >> 20, store_.options().path, wal >> 20)};
  }
  if (auto connected = connect(); !connected) return failed(connected.error());
  auto done = connection_->execute("CHECKPOINT");
  if (done) {
    store_.ask_for_quiet(0);
    refused_since_ns_ = 0;
    return {};
  }
  if (done.error().message.find("other") == std::string::npos || is_fatal(done.error())) return failed(done.error());
  // Others write just now: the keeper, who waits then. That it comes to nothing all the same is worth a word.
  const uint64_t now_ns = steady_clock_ns();
  store_.ask_for_quiet(now_ns + kQuietNs);
  if (refused_since_ns_ == 0) refused_since_ns_ = now_ns;
  if (now_ns - refused_since_ns_ < kRefusedMaxNs) return {};
  return Error{fmt::format("the log of {} MiB cannot be put into the file for {} s: {}", wal >> 20, (now_ns - refused_since_ns_) / kNsPerSec,
                           done.error().message)};
}

}  // namespace weir::store
