// weirctl_tables.h — Answers of the control socket as tables that an operator reads.
//
// Failure:  nlohmann::json's exceptions, where an answer has another shape than this weirctl knows.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>

namespace weir::cli {

std::string text_of(const nlohmann::json& value);
/// `-` where it never was.
std::string age_of(uint64_t then_ns, uint64_t now_ns);
uint64_t now_ns();

void print_status(const nlohmann::json& status);
void print_ports(const nlohmann::json& ports);
void print_replicas(const nlohmann::json& replicas);
void print_listeners(const nlohmann::json& listeners);
void print_queues(const nlohmann::json& queues);
void print_cores(const nlohmann::json& cores);
void print_publishers(const nlohmann::json& publishers);
/// Each ledger: what came in, and under it what became of it, which adds up.
void print_ledger(const nlohmann::json& ledger);
/// The same of weir-etl's, which says so by its key `program`.
void print_etl_status(const nlohmann::json& status);
void print_etl_ledger(const nlohmann::json& ledger);
/// Its rules, what each has done, and what is known of addresses. `only_hits`: those that matched something, the busiest first.
void print_etl_rules(const nlohmann::json& rules, bool only_hits);
bool is_of_etl(const nlohmann::json& answer);
/// Of a consuming program's status: which rules go, and what is wrong with them as they are now. `none`: where there are none.
void print_rules_in_use(const nlohmann::json& status, const char* none);
/// Where a consuming program's messages come from, and a line of space.
void print_source(const nlohmann::json& status);
/// The same of weir-store's.
void print_store_status(const nlohmann::json& status);
void print_store_ledger(const nlohmann::json& ledger);
/// What `verify` found, of its status' `keeper`.
void print_verified(const nlohmann::json& keeper);
bool is_of_store(const nlohmann::json& answer);
/// Keys, values and where they came from.
void print_config(const nlohmann::json& config);
/// How a reload went: what goes now, and what only a restart takes up.
void print_reload(const nlohmann::json& reload);

}  // namespace weir::cli
