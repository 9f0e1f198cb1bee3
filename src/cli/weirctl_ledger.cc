#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/weirctl_ledger_rows.h"
#include "cli/weirctl_table.h"
#include "cli/weirctl_tables.h"

namespace weir::cli {

using nlohmann::json;

namespace {

uint64_t number_at(const json& object, const char* key) { return object.at(key).get<uint64_t>(); }

uint64_t sum_of(const json& tally) {
  uint64_t sum = 0;
  for (const json& count : tally) sum += count.get<uint64_t>();
  return sum;
}

void add_publisher(LedgerRows& rows, const json& p, uint64_t encoded) {
  const json& r = p.at("records");
  rows.begin(text_of(p.at("name")), "records encoded", encoded);
  rows.part("acknowledged", number_at(r, "acknowledged"));
  rows.parts("lost", p.at("failures"));
  rows.part("spooled", number_at(r, "spooled"));
  rows.part("in flight", number_at(r, "in_flight"));
  rows.part("waiting", number_at(r, "waiting"));
  if (const uint64_t absent = number_at(r, "absent"); absent != 0) rows.part("while it was not there", absent);
  const json& spool = p.at("spool");
  if (spool.is_null()) return;
  const json& s = spool.at("records");
  rows.begin(text_of(p.at("name")) + "'s spool", "records spooled or found",
             number_at(r, "spooled") + number_at(s, "restored"));
  rows.part("replayed", number_at(s, "replayed"));
  rows.parts("lost", spool.at("failures"));
  for (const char* part : {"expired", "damaged", "stored"}) rows.part(part, number_at(s, part));
  if (const uint64_t left = number_at(s, "left"); left != 0) rows.part("left on disk by a reload", left);
}

}  // namespace

void print_ledger(const json& l) {
  if (is_of_etl(l)) return print_etl_ledger(l);
  if (is_of_store(l)) return print_store_ledger(l);
  print_ports(l.at("ports"));
  print_replicas(l.at("replicate"));
  std::puts("");
  Table table({"ledger", "what became of it", "number", "share"}, 2);
  LedgerRows rows(table);

  if (const json& frames = l.at("frames"); frames.at("received") != 0) {  // kernel sockets have none
    rows.begin("frames", "received", frames.at("received"));
    rows.parts("", frames.at("verdicts"));
    rows.note("udp for a port without listener", number_at(frames, "no_listener"));
    const json& exceptions = frames.at("exceptions");
    const uint64_t others = sum_of(exceptions);
    if (others != number_at(exceptions, "no_interface") + number_at(exceptions, "joined")) {
      rows.begin("other frames", "not IP, not UDP, or without listener", others);
      rows.parts("", exceptions);
    }
    const json& handed = frames.at("handed_to_workers");
    const json& full = frames.at("worker_full");
    const json& taken = frames.at("taken_by_workers");
    if (const uint64_t for_workers = sum_of(handed) + sum_of(full); for_workers != 0) {
      rows.begin("for workers", "datagrams and fragments", for_workers);
      rows.part("taken", sum_of(taken));
      rows.part("waiting", sum_of(handed) - std::min(sum_of(handed), sum_of(taken)));
      rows.part("dropped: worker_full", sum_of(full));
    }
    if (const uint64_t fragments = number_at(frames.at("verdicts"), "fragment"); fragments != 0) {
      rows.begin("fragments", "received", fragments);
      rows.parts("", frames.at("fragments"));
      const uint64_t on_the_way =
          number_at(handed, "fragment") - std::min(number_at(handed, "fragment"), number_at(taken, "fragment"));
      rows.part("waiting", number_at(frames, "fragments_waiting") + on_the_way);
      if (const uint64_t lost = number_at(full, "fragment"); lost != 0) rows.part("dropped: worker_full", lost);
      rows.begin("", "datagrams made of them", sum_of(frames.at("reassembled")));
      rows.parts("", frames.at("reassembled"));
    }
  }

  const json& datagrams = l.at("datagrams");
  rows.begin("datagrams", "received", datagrams.at("received"));
  rows.part("decoded", number_at(datagrams, "decoded"));
  rows.parts("rejected", datagrams.at("rejected"));
  rows.note("missing before arrival, by sequence numbers",
            number_at(l.at("before_arrival"), "sequence_lost"));

  const json& sets = l.at("sets");
  rows.begin("sets", "in decoded datagrams", sets.at("received"));
  rows.parts("", sets.at("outcomes"));

  const json& records = l.at("records");
  const uint64_t flows = number_at(records, "decoded");
  const uint64_t counters = number_at(records, "sflow_counters");
  const uint64_t discards = number_at(records, "sflow_discards");
  rows.begin("records", "decoded", flows + counters + discards);
  rows.part("encoded", number_at(records, "encoded"));
  rows.parts("dropped", records.at("dropped"));
  rows.note("flows among them", flows);
  if (counters != 0) rows.note("sFlow counter records among them", counters);
  if (discards != 0) rows.note("sFlow discarded packets among them", discards);

  for (const json& p : l.at("publishers")) add_publisher(rows, p, number_at(records, "encoded"));
  table.print();
  std::puts("");
  if (l.at("balanced").get<bool>()) {
    std::puts(rows.add_up()
                  ? "the books balance: in each ledger the rows with = and + make up the first"
                  : "the books balance: each core copies its own between two bursts. The rows above were read\n"
                    "while cores were at work, so in a ledger they may be a burst apart");

  } else {
    for (const json& d : l.at("discrepancies"))
      std::printf("DOES NOT BALANCE: %s\n", text_of(d).c_str());
  }
}

}  // namespace weir::cli
