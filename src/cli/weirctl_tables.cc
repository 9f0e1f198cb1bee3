#include "cli/weirctl_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <vector>

#include "base/printable.h"
#include "cli/weirctl_table.h"

namespace weir::cli {

using nlohmann::json;

std::string text_of(const json& value) {
  if (value.is_null()) return "-";
  if (value.is_string()) return printable(value.get<std::string>());
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  return value.dump();
}

namespace {

std::string duration_of(uint64_t ns) {
  const uint64_t s = ns / 1'000'000'000;
  if (s < 120) return fmt::format("{}s", s);
  if (s < 7200) return fmt::format("{}m", s / 60);
  if (s < 172'800) return fmt::format("{}h", s / 3600);
  return fmt::format("{}d", s / 86'400);
}

/// The fill is that of the bound which is nearest, records or batches.
std::string queue_of(const json& queue) {
  const json& max = queue.at("records_max");
  return fmt::format("{}{}{} {:.0f}%", text_of(queue.at("records")), max.is_null() ? "" : "/",
                     max.is_null() ? "" : text_of(max), queue.at("fill").get<double>() * 100);
}

/// What a record has cost the core, all that comes with it included.
std::string cost_of(const json& core) {
  const auto records = core.at("records").get<uint64_t>();
  return records == 0 ? "-" : fmt::format("{}", core.at("busy_ns").get<uint64_t>() / records);
}

/// By when 99 of 100 batches were acknowledged.
std::string delay_of(const json& delivery) {
  if (delivery.at("batches") == 0) return "-";
  const auto ms = delivery.at("p99_ms").get<double>();
  return ms < 1000 ? fmt::format("{:.0f} ms", ms) : fmt::format("{:.1f} s", ms / 1000);
}

void print_state(const json& state, uint64_t now_ns) {
  if (state.is_null()) return;
  const auto counts = [](const json& of) {
    return fmt::format("{} templates and {} sampling rates of {} exporters",
                       text_of(of.at("templates")), text_of(of.at("rates")),
                       text_of(of.at("exporters")));
  };
  std::string line = "state " + text_of(state.at("path")) + ": ";
  line += state.at("saved").is_null()
              ? "not saved yet"
              : fmt::format("{} saved {} ago", counts(state.at("saved")),
                            age_of(state.at("saved").at("written_ns"), now_ns));
  if (!state.at("loaded").is_null()) {
    line += fmt::format("; of {} before the start, {} are back in use", counts(state.at("loaded")),
                        counts(state.at("restored")));
  }
  std::printf("%s\n", line.c_str());
  if (const std::string error = text_of(state.at("error")); !error.empty()) {
    std::printf("state cannot be kept: %s\n", error.c_str());
  }
}

}  // namespace

std::string age_of(uint64_t then_ns, uint64_t now_ns) {
  return then_ns == 0 || then_ns > now_ns ? "-" : duration_of(now_ns - then_ns);
}

uint64_t now_ns() {
  timespec t{};
  clock_gettime(CLOCK_REALTIME, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(t.tv_nsec);
}

namespace {

/// The interfaces for what is no export traffic, where there are some.
void print_exceptions(const json& ports) {
  Table table({"port", "interface", "to kernel", "refused", "waiting", "from kernel", "not sent", "invalid", "too long", "dropped"});
  bool is_any = false;
  for (const json& p : ports) {
    const json& e = p.at("exception");
    if (e.is_null()) continue;
    is_any = true;
    table.add({text_of(p.at("name")), text_of(e.at("interface")), text_of(e.at("delivered")), text_of(e.at("refused")),
               text_of(e.at("waiting")), text_of(e.at("sent")), text_of(e.at("not_sent")), text_of(e.at("invalid")),
               text_of(e.at("too_long")), text_of(e.at("dropped"))});
  }
  if (!is_any) return;
  std::puts("");
  table.print();
  for (const json& p : ports) {
    const json& e = p.at("exception");
    if (e.is_null()) continue;
    if (const std::string trouble = text_of(e.at("trouble")); !trouble.empty()) {
      std::printf("port %s: %s\n", text_of(p.at("name")).c_str(), trouble.c_str());
    }
  }
}

/// Those of which there are any: `12 idle, 3 malformed`.
std::string reasons(const json& tally) {
  std::string text;
  for (const auto& [name, count] : tally.items())
    if (count != 0) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", text_of(count), name);
  return text.empty() ? "-" : text;
}

/// Of ports that take IPFIX over TCP.
void print_sessions(const json& ports) {
  Table table({"port", "sessions", "opened", "ended", "refused"});
  bool is_any = false;
  for (const json& p : ports) {
    const json& s = p.at("sessions");
    if (s.is_null()) continue;
    is_any = true;
    table.add({text_of(p.at("name")), text_of(s.at("open")), text_of(s.at("opened")), reasons(s.at("ended")),
               reasons(s.at("refused"))});
  }
  if (!is_any) return;
  std::puts("");
  table.print();
}

}  // namespace

void print_ports(const json& ports) {
  Table table({"port", "driver", "link", "packets", "octets", "missed", "errors", "no mbuf"});
  for (const json& p : ports) {
    table.add({text_of(p.at("name")), text_of(p.at("driver")),
               p.at("link_up").get<bool>() ? "up" : "down", text_of(p.at("packets")),
               text_of(p.at("octets")), text_of(p.at("missed")), text_of(p.at("errors")),
               text_of(p.at("no_mbuf"))});
  }
  table.print();
  print_sessions(ports);
  print_exceptions(ports);
  for (const json& p : ports) {
    if (const std::string trouble = text_of(p.at("trouble")); !trouble.empty()) {
      std::printf("port %s: %s\n", text_of(p.at("name")).c_str(), trouble.c_str());
    }
    if (const std::string note = text_of(p.at("note")); !note.empty()) {
      std::printf("port %s: %s\n", text_of(p.at("name")).c_str(), note.c_str());
    }
  }
}

void print_replicas(const json& replicas) {
  if (replicas.empty()) return;
  Table table({"replicated to", "source", "offered", "sent", "octets", "returned", "dropped"});
  for (const json& r : replicas)
    table.add({text_of(r.at("to")) + (r.at("is_gone").get<bool>() ? " (gone)" : ""),
               r.at("spoof_source").get<bool>() ? "exporter's" : "ours", text_of(r.at("offered")),
               text_of(r.at("sent")), text_of(r.at("sent_octets")), text_of(r.at("returned")), reasons(r.at("dropped"))});
  std::puts("");
  table.print();
}

/// What workers get from the cores that receive; there need not be any.
void print_workers(const json& cores) {
  const auto is_worker = [](const json& core) { return !core.at("worker").is_null(); };
  if (std::none_of(cores.begin(), cores.end(), is_worker)) return;
  std::puts("");
  Table table({"worker", "frames handed", "too far behind", "waiting", "of", "serves"});
  for (const json& core : cores) {
    if (!is_worker(core)) continue;
    const json& worker = core.at("worker");
    table.add({"core " + text_of(core.at("core")), text_of(worker.at("handed")), text_of(worker.at("full")),
               text_of(worker.at("waiting")), text_of(worker.at("capacity")), text_of(core.at("serves"))});
  }
  table.print();
}

void print_cores(const json& cores) {
  Table table({"core", "cpu", "busy", "datagrams", "records", "ns/record", "exporters", "templates",
               "sequence lost", "serves"});
  for (const json& c : cores) {
    table.add({text_of(c.at("core")), c.at("cpu").get<int>() < 0 ? "-" : text_of(c.at("cpu")),
               fmt::format("{:.1f}%", c.at("busy_ratio").get<double>() * 100),
               text_of(c.at("datagrams")), text_of(c.at("records")), cost_of(c), text_of(c.at("exporters")),
               text_of(c.at("templates")), text_of(c.at("sequence_lost")),
               text_of(c.at("serves"))});
  }
  table.print();
  print_workers(cores);
}

void print_listeners(const json& listeners) {
  Table table({"listener", "port", "protocol", "datagrams", "octets", "records", "rejected"});
  for (const json& l : listeners) {
    // A row for each protocol that came; the first, or the only one, also says what was rejected.
    bool is_first = true;
    const auto add = [&](const std::string& protocol, const json& datagrams, const json& octets, const json& records) {
      table.add({is_first ? text_of(l.at("name")) : "", is_first ? text_of(l.at("port")) : "", protocol,
                 text_of(datagrams), text_of(octets), text_of(records), is_first ? text_of(l.at("rejected")) : ""});
      is_first = false;
    };
    for (const auto& [protocol, datagrams] : l.at("datagrams").items()) {
      if (datagrams != 0) add(protocol, datagrams, l.at("octets").at(protocol), l.at("records").at(protocol));
    }
    if (is_first) add("-", 0, 0, 0);
  }
  table.print();
}

void print_queues(const json& queues) {
  Table table({"queue", "waits", "of", "unit", "fill"});
  for (const json& q : queues) {
    table.add({text_of(q.at("name")), text_of(q.at("depth")), text_of(q.at("capacity")), text_of(q.at("unit")),
               q.at("capacity").is_null() ? "" : fmt::format("{:.1f}%", q.at("fill").get<double>() * 100)});
  }
  table.print();
}

void print_publishers(const json& publishers) {
  Table table({"publisher", "kind", "connected", "acknowledged", "failed", "dropped", "in flight",
               "waiting", "retries", "queue", "p99"});
  for (const json& p : publishers) {
    const json& r = p.at("records");
    const std::string state = text_of(p.at("state"));
    table.add({text_of(p.at("name")), text_of(p.at("kind")), state == "running" ? text_of(p.at("connected")) : state,
               text_of(r.at("acknowledged")), text_of(r.at("failed")), text_of(r.at("dropped")),
               text_of(r.at("in_flight")), text_of(r.at("waiting")), text_of(p.at("retries")),
               queue_of(p.at("queue")), delay_of(p.at("delivery"))});
  }
  table.print();
  for (const json& p : publishers) {
    if (const std::string error = text_of(p.at("last_error")); !error.empty()) {
      std::printf("publisher %s: %s\n", text_of(p.at("name")).c_str(), error.c_str());
    }
    if (const std::string remark = text_of(p.at("remark")); !remark.empty()) {
      std::printf("publisher %s delivers, but: %s\n", text_of(p.at("name")).c_str(), remark.c_str());
    }
    if (p.at("handing_over").get<bool>()) {
      std::printf("publisher %s: what a reload has replaced of it still delivers what it had\n",
                  text_of(p.at("name")).c_str());
    }
  }
}

/// Only where there is something to know.
void print_clock(const json& clock) {
  if (clock.at("steps") != 0)
    std::printf("the wall clock was set %s times, last by %+.3f s\n", text_of(clock.at("steps")).c_str(),
                clock.at("last_step_ns").get<double>() / 1e9);
  if (clock.at("losses") != 0)
    std::printf("the CPU's time stamp counter disagreed %s times with the kernel's clock%s\n", text_of(clock.at("losses")).c_str(),
                text_of(clock.at("why")) == "given_up" ? " and is not used any more" : "");
}

void print_status(const json& s) {
  if (is_of_etl(s)) return print_etl_status(s);
  if (is_of_store(s)) return print_store_status(s);
  const uint64_t now_ns = s.at("taken_ns");
  std::printf("weir %s (%s)  appliance %s  partition %s\n", text_of(s.at("version")).c_str(),
              text_of(s.at("commit")).c_str(), text_of(s.at("appliance")).c_str(),
              text_of(s.at("partition")).c_str());
  std::printf(
      "%s for %s, %s\n", text_of(s.at("state")).c_str(), duration_of(s.at("uptime_ns")).c_str(),
      s.at("ready").get<bool>() ? "ready"
                                : ("not ready: " + text_of(s.at("not_ready_because"))).c_str());
  if (s.contains("clock")) print_clock(s.at("clock"));
  std::printf("%s records/s, %s datagrams/s\n\n", text_of(s.at("records_per_second")).c_str(),
              text_of(s.at("datagrams_per_second")).c_str());
  print_ports(s.at("ports"));
  print_replicas(s.at("replicate"));
  std::puts("");
  print_cores(s.at("cores"));
  print_state(s.at("state_kept"), now_ns);
  std::puts("");
  print_publishers(s.at("publishers"));
}

}  // namespace weir::cli
