#include "store/metrics.h"

#include "base/version.h"
#include "service/log.h"

namespace weir::store {

using service::MetricPage;

namespace {

double seconds(uint64_t ns) { return static_cast<double>(ns) / 1e9; }

void add_books(MetricPage& page, const StoreBooks& books) {
  page.counter("weir_store_messages_in_total", "Messages that came in; one that comes again is another.", {}, books.messages_in);
  page.counter("weir_store_octets_in_total", "Their octets.", {}, books.octets_in);
  page.counter("weir_store_messages_redelivered_total", "Of these, those that somebody had been given before.", {},
               books.messages_redelivered);
  page.counter("weir_store_messages_stored_total", "Messages whose rows are committed.", {}, books.messages_stored);
  page.counter("weir_store_messages_repeated_total", "Messages that had been stored before: not stored again.", {},
               books.messages_repeated);
  page.counter("weir_store_messages_unsure_total", "Messages stored though they are older than what is remembered of them.", {},
               books.messages_unsure);
  page.counter("weir_store_messages_returned_total", "Messages left to be delivered again.", {}, books.messages_returned);
  page.gauge("weir_store_messages_in_hand", "Messages that are worked on.", {}, static_cast<double>(books.messages_in_hand));
  page.counter("weir_store_records_in_total", "Flows read from messages.", {}, books.records_in);
  page.counter("weir_store_rows_total", "Rows committed.", {}, books.rows);
  page.counter("weir_store_records_dropped_total", "Flows that a rule dropped.", {}, books.records_dropped);
  page.counter("weir_store_records_sampled_out_total", "Flows that a rule's sampling left out.", {}, books.records_sampled_out);
  page.counter("weir_store_records_returned_total", "Flows that were not committed; they come again.", {}, books.records_returned);
  page.gauge("weir_store_records_in_flight", "Flows that wait for a commit.", {}, static_cast<double>(books.records_in_flight));
  page.counter("weir_store_times_replaced_total", "Flows that said a time that cannot be.", {}, books.times_replaced);
  page.counter("weir_store_remainders_cut_total", "Rows whose remainder was too long and is not there.", {}, books.remainders_cut);
  page.counter("weir_store_rule_errors_total", "Expressions of rules without a value.", {}, books.rule_errors);
  page.counter("weir_store_rule_labels_left_out_total", "Labels of rules that a flow had no room for.", {}, books.labels_left_out);
  page.counter("weir_store_decisions_total", "Results that a decision file made.", {}, books.decisions);
  page.counter("weir_store_decisions_missing_total", "Rows without the decision file's result: an expression had no value, or it was too long.", {},
               books.decisions_missing);
  feed::add_dead_metrics(page, "weir_store", books.messages_dead, books.records_dead);
  page.gauge("weir_store_ledger_balanced", "1: every message and every flow is accounted for.", {},
             books.discrepancy().empty() ? 1 : 0);
}

void add_identities(MetricPage& page, const IdentityView& identities) {
  page.gauge("weir_store_identity_sources", "Runs of collectors' cores whose messages are known.", {},
             static_cast<double>(identities.sources));
  page.gauge("weir_store_identity_ids", "Other messages that are known by their ids.", {}, static_cast<double>(identities.ids));
  page.gauge("weir_store_identity_runs_most", "Runs of numbers of the source that has most of them.", {},
             static_cast<double>(identities.runs_most));
  page.counter("weir_store_identity_sources_forgotten_total", "Sources that had to be forgotten.", {}, identities.sources_forgotten);
  page.counter("weir_store_identity_ids_forgotten_total", "Ids that had to be forgotten.", {}, identities.ids_forgotten);
}

void add_commits(MetricPage& page, const StoreView& view, const FileLook& file) {
  page.counter("weir_store_commits_total", "Transactions with rows.", {}, view.committer.commits);
  page.counter("weir_store_commit_failures_total", "Tries of transactions that failed; they are tried again.", {},
               view.committer.failures);
  page.gauge("weir_store_commit_seconds", "How long the last one took.", {}, seconds(view.committer.last_ns));
  page.gauge("weir_store_writable", "0: the store cannot be written just now.", {}, view.committer.trouble.empty() ? 1 : 0);
  page.gauge("weir_store_newest_row_timestamp_seconds", "When the newest committed flow was received; 0: none yet.", {},
             static_cast<double>(view.newest_row_us) / 1e6);
  page.gauge("weir_store_database_octets", "The database's file.", {}, static_cast<double>(file.octets));
  page.gauge("weir_store_database_log_octets", "What is committed and not in it yet.", {}, static_cast<double>(file.wal_octets));
  page.gauge("weir_store_database_free_octets", "Free where it lies.", {}, static_cast<double>(file.free_octets));
  page.counter("weir_store_database_reopened_total", "How often it was opened anew after an error.", {}, file.reopened);
  page.gauge("weir_store_chunks", "Chunks of rows in memory, of 2048 each.", {}, static_cast<double>(view.chunks));
}

void add_keeper(MetricPage& page, const KeeperView& keeper) {
  page.gauge("weir_store_hours", "Hours whose rows lie in the database.", {}, static_cast<double>(keeper.hours));
  page.gauge("weir_store_files", "Files of older rows.", {}, static_cast<double>(keeper.files));
  page.gauge("weir_store_file_octets", "Their octets.", {}, static_cast<double>(keeper.file_octets));
  page.gauge("weir_store_file_rows", "Their rows.", {}, static_cast<double>(keeper.file_rows));
  page.gauge("weir_store_files_broken", "Files that cannot be read and are left out.", {}, static_cast<double>(keeper.left_out.files));
  page.gauge("weir_store_file_rows_left_out", "Their rows, which every answer lacks.", {}, static_cast<double>(keeper.left_out.rows));
  page.gauge("weir_store_files_in_doubt", "Files that a question may have failed at: they are being read.", {},
             static_cast<double>(keeper.watch.in_doubt));
  page.counter("weir_store_scrub_files_total", "Files that were read through and held against the sums of their octets.", {}, keeper.scrub.files);
  page.counter("weir_store_scrub_octets_total", "Octets that were read for it.", {}, keeper.scrub.octets);
  page.counter("weir_store_scrub_damaged_total", "Files that were found to be other than they were written.", {}, keeper.scrub.damaged);
  page.gauge("weir_store_scrub_unread_seconds", "How long ago the file was read through that was so longest ago; 0: there is none.", {},
             static_cast<double>(keeper.unread_micros) / 1e6);
  page.gauge("weir_store_files_without_sum", "Files of an older version's that are yet to be read through for the first time.", {},
             static_cast<double>(keeper.files_without_sum));
  page.gauge("weir_store_files_unknown", "Files in the folder that are not this database's: left alone, and not asked.", {},
             static_cast<double>(keeper.watch.unknown));
  page.gauge("weir_store_clock_ahead_seconds", "How far the clock is ahead of the time that files and sums become too old by.", {},
             static_cast<double>(keeper.clock_ahead_micros) / 1e6);
  for (size_t i = 0; i < kKeeperTasks; ++i) {
    const service::Labels labels = {{"task", name_of(static_cast<KeeperTask>(i))}};
    page.counter("weir_store_keeper_runs_total", "Pieces of the keeper's work.", labels, keeper.tasks[i].runs);
    page.counter("weir_store_keeper_done_total", "Rows, hours or files that were done.", labels, keeper.tasks[i].done);
    page.counter("weir_store_keeper_failures_total", "Those that failed; they are tried again.", labels, keeper.tasks[i].failures);
    page.seconds_counter("weir_store_keeper_seconds_total", "How long it took.", labels, keeper.tasks[i].busy_ns);
  }
}

}  // namespace

void add_metrics(const StoreView& view, const KeeperView* keeper, const FileLook& file, const service::ReloadView& reload,
                 const feed::FilesView& files, MetricPage& page) {
  page.gauge("weir_store_build_info", "1; the version and commit of this build.", {{"version", version()}, {"commit", commit()}}, 1);
  page.gauge("weir_store_start_time_seconds", "When it was started.", {}, seconds(view.started_ns));
  page.gauge("weir_store_ready", "1: nothing stands in its way.", {}, view.not_ready_because().empty() ? 1 : 0);
  page.gauge("weir_store_careful", "1: messages are taken one by one, for some were delivered often.", {}, view.is_careful ? 1 : 0);
  add_books(page, view.books);
  add_identities(page, view.identities);
  add_commits(page, view, file);
  if (keeper != nullptr) add_keeper(page, *keeper);
  page.gauge("weir_store_rules_info", "1; the rules that flows go by, and the SHA-256 of them and their dictionaries.",
             {{"name", view.rules_name}, {"hash", view.rules_hash}}, 1);
  page.counter("weir_store_reloads_total", "Reloads asked for that have ended.", {}, reload.number);
  page.gauge("weir_store_reload_good", "0: the last reload was refused.", {},
             reload.state == service::ReloadState::refused ? 0 : 1);
  feed::add_files_metrics(page, "weir_store", files);
  feed::add_source_metrics(page, "weir_store", view.source);
  if (view.names != nullptr) feed::add_names_metrics(page, "weir_store", *view.names);
  page.counter("weir_store_log_lines_lost_total", "Lines of the log that nobody took in time.", {}, service::log_lines_lost());
}

}  // namespace weir::store
