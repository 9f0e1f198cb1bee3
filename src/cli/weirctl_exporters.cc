#include "cli/weirctl_exporters.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/weirctl_table.h"
#include "cli/weirctl_tables.h"

namespace weir::cli {

using nlohmann::json;

namespace {

/// Columns for names where the operator has a list of them.
bool any_named(const json& exporters) {
  return std::any_of(exporters.begin(), exporters.end(),
                     [](const json& e) { return !e.at("name").is_null() || !e.at("site").is_null(); });
}

std::vector<std::string> exporter_row(const json& e, uint64_t now_ns, bool with_names) {
  std::string protocols;
  for (const json& p : e.at("protocols")) {
    if (!protocols.empty()) protocols += ',';
    protocols += text_of(p);
  }
  std::vector<std::string> row = {text_of(e.at("address")),
          protocols.empty() ? "-" : protocols,
          text_of(e.at("datagrams").at("received")),
          text_of(e.at("datagrams").at("rejected")),
          text_of(e.at("records")),
          text_of(e.at("templates")),
          text_of(e.at("sets").at("waiting")),
          text_of(e.at("sets").at("lost")),
          text_of(e.at("sequence_lost")),
          age_of(e.at("last_seen_ns"), now_ns),
          text_of(e.at("last_error"))};
  if (with_names) row.insert(row.begin() + 1, {text_of(e.at("name")), text_of(e.at("site"))});
  return row;
}

const std::vector<std::string> kExporterHeads = {
    "exporter",     "protocols", "datagrams",     "rejected",  "records",   "templates",
    "sets waiting", "sets lost", "sequence lost", "last seen", "last error"};

Table exporter_table(const json& exporters) {
  const bool with_names = any_named(exporters);
  std::vector<std::string> heads = kExporterHeads;
  if (with_names) heads.insert(heads.begin() + 1, {"name", "site"});
  Table table(std::move(heads), with_names ? 3 : 1);
  for (const json& e : exporters) table.add(exporter_row(e, now_ns(), with_names));
  return table;
}

/// What an operator should do about the exporter; nothing when all is well.
void print_verdicts(const json& e) {
  for (const json& verdict : e.at("verdicts")) {
    std::printf("exporter %s: %s\n", text_of(e.at("address")).c_str(), text_of(verdict.at("text")).c_str());
  }
}

/// Tolerated, so only of one exporter: most have some.
void print_quirks(const json& quirks) {
  for (const json& q : quirks) {
    std::printf("quirk %s, %s times: %s\n", text_of(q.at("quirk")).c_str(), text_of(q.at("count")).c_str(),
                text_of(q.at("text")).c_str());
  }
}

void print_domains(const json& e) {
  const json& clock = e.at("clock");
  if (clock.at("skew_ms").is_number()) {
    const int64_t ms = clock.at("skew_ms");
    std::printf("clock %.1f s %s\n", static_cast<double>(std::abs(ms)) / 1000,
                ms < 0 ? "ahead" : "behind");
  }
  Table domains({"protocol", "domain", "tcp port", "agent", "templates", "options templates",
                 "sequence counts", "lost", "duplicates", "restarts"});
  for (const json& d : e.at("domain_list")) {
    const json& s = d.at("sequence");
    domains.add({text_of(d.at("protocol")), text_of(d.at("id")), text_of(d.value("session_port", json())), text_of(d.value("agent", json())),
                 text_of(d.at("templates")), text_of(d.at("options_templates")),
                 text_of(s.at("unit")), text_of(s.at("lost")),
                 text_of(s.at("duplicates")), text_of(s.at("restarts"))});
  }
  domains.print();
}

/// 10G, 2.5G, 1544k, as the list has it.
std::string speed_of(const json& bits_per_second) {
  if (bits_per_second.is_null()) return "-";
  auto speed = bits_per_second.get<double>();
  const char* unit = "";
  for (const char* larger : {"k", "M", "G", "T"}) {
    if (speed < 1000 || (speed < 10'000 && speed != std::floor(speed / 100) * 100)) break;
    speed /= 1000;
    unit = larger;
  }
  return fmt::format("{}{}", speed, unit);
}

void print_interfaces(const json& rows) {
  if (rows.empty()) return;
  std::puts("");
  Table interfaces({"interface", "name", "description", "boundary", "speed"}, 4);
  for (const json& i : rows) {
    interfaces.add({text_of(i.at("if_index")), text_of(i.at("name")), text_of(i.at("description")),
                    text_of(i.at("boundary")), speed_of(i.at("speed_bps"))});
  }
  interfaces.print();
}

/// Where a rate comes from, in words.
std::string source_of(const json& s) {
  const std::string source = text_of(s.at("source"));
  if (source == "override") return "the configuration, whatever it says";
  if (source == "default") return "the configuration, where it says nothing";
  if (source == "header") return "headers";
  const std::string of = text_of(s.at("of"));
  if (of == "sample_pool") return "samples: packets seen of all";
  if (source == "record") return "each record, by template " + text_of(s.at("id"));
  if (of == "-") return "options data";
  std::string words = "options data, " + (of == "selection_sequence" ? "selection sequence" : of) + " " + text_of(s.at("id"));
  std::string selectors;
  for (const json& selector : s.at("selectors")) selectors += (selectors.empty() ? ": selector " : ", ") + text_of(selector);
  return words + selectors;
}

void print_sampling(const json& rows) {
  if (rows.empty()) {
    std::puts("sampling: it says nothing, and neither does the configuration");
    return;
  }
  Table table({"sampling from", "protocol", "domain", "one in", "told"}, 3);
  for (const json& s : rows) {
    const json& told = s.at("told_ns");
    table.add({source_of(s), text_of(s.at("protocol")), text_of(s.at("domain")), text_of(s.at("rate")),
               told.is_null() ? "-" : age_of(told.get<uint64_t>(), now_ns())});
  }
  table.print();
}

std::string octets_of(const json& octets) { return octets.is_null() ? "varies" : text_of(octets); }

/// Who wants records one by one just now, `live tail, rules`: all of them, and those with elements that have no column.
struct Readers {
  std::string of_all;
  std::string of_elements;
  bool some_names = false;  // listeners with inline_names, and no others
};

Readers readers_of(const json& detail) {
  Readers readers;
  const json kinds = detail.value("record_readers", json());  // an older appliance does not say
  for (const json& kind : kinds) {
    auto name = kind.get<std::string>();
    if (name == "inline_names") {
      readers.some_names = true;
      continue;
    }
    const bool is_of_all = name != "element_rules";
    std::replace(name.begin(), name.end(), '_', ' ');
    const auto add = [&name](std::string& list) { list += (list.empty() ? "" : ", ") + name; };
    if (is_of_all) add(readers.of_all);
    add(readers.of_elements);
  }
  return readers;
}

constexpr const char* kNotByNames = "not by listeners with inline_names";

/// Whether its records go straight to wire octets, and if not, why; of options nothing.
std::string fused_of(const json& t, const Readers& readers) {
  const json fused = t.value("fused", json());  // an older appliance does not say
  if (fused.is_null()) return "-";
  const bool has_elements = fused == "fused_with_elements";
  if (fused != "fused" && !has_elements) return "no: " + fused.get<std::string>();
  const std::string& now = has_elements ? readers.of_elements : readers.of_all;
  if (!now.empty()) return "off now: " + now;
  if (const json refusal = t.value("not_fused_now", json()); !refusal.is_null()) {
    auto words = refusal.get<std::string>();
    std::replace(words.begin(), words.end(), '_', ' ');
    return "not now: " + words;
  }
  return readers.some_names ? fmt::format("yes, {}", kNotByNames) : "yes";
}

std::vector<std::string> template_row(const json& t, const Readers& readers) {
  return {text_of(t.at("id")),
          text_of(t.at("protocol")),
          text_of(t.at("domain")),
          text_of(t.at("kind")),
          text_of(t.at("port")),
          std::to_string(t.at("fields").size()),
          octets_of(t.at("record_octets")),
          fused_of(t, readers),
          age_of(t.at("defined_ns"), now_ns())};
}

const std::vector<std::string> kTemplateHeads = {"template", "protocol",      "domain",    "kind",
                                                 "port",     "fields", "record octets", "fused", "told"};

std::string element_of(const json& field) {
  const std::string id = text_of(field.at("id"));
  return field.at("enterprise") == 0 ? id : text_of(field.at("enterprise")) + "/" + id;
}

void print_fields(const json& t) {
  const size_t scopes = t.at("scope_fields");
  Table table({"  field", "element", "name", "octets"}, 3);
  size_t place = 0;
  for (const json& f : t.at("fields")) {
    ++place;
    const std::string name = f.at("name").is_null() ? "(not known)" : text_of(f.at("name"));
    table.add({fmt::format("  {}", place), element_of(f), place <= scopes ? name + " (scope)" : name,
               octets_of(f.at("octets"))});
  }
  table.print();
}

/// Of an exporter without templates: NetFlow v5 has none, and is fused all the same.
void print_forms(const json& protocols, const Readers& readers) {
  if (!readers.of_all.empty()) {
    std::printf("fused forms: off now: %s\n", readers.of_all.c_str());
  } else if (readers.some_names) {
    std::printf("fused forms: %s\n", kNotByNames);
  } else if (std::find(protocols.begin(), protocols.end(), "netflow_v5") != protocols.end()) {
    std::printf("fused forms: yes\n");
  }
}

void print_templates(const json& templates, const Readers& readers, TemplateFields fields) {
  if (fields == TemplateFields::counted) {
    Table table(kTemplateHeads, 4);
    for (const json& t : templates) table.add(template_row(t, readers));
    table.print();
    std::puts("--templates shows their fields");
    return;
  }
  for (const json& t : templates) {
    std::printf("template %s, %s of %s domain %s%s: %zu fields, record octets %s, fused: %s, told %s ago\n",
                text_of(t.at("id")).c_str(), text_of(t.at("kind")).c_str(), text_of(t.at("protocol")).c_str(),
                text_of(t.at("domain")).c_str(),
                t.at("port").is_null() ? "" : (", of port " + text_of(t.at("port"))).c_str(), t.at("fields").size(),
                octets_of(t.at("record_octets")).c_str(), fused_of(t, readers).c_str(), age_of(t.at("defined_ns"), now_ns()).c_str());
    print_fields(t);
    std::puts("");
  }
}

/// What is missing of the rest.
void print_gaps(const json& detail) {
  if (detail.at("cut").get<bool>()) std::puts("there are more templates than are shown");
  const json& silent = detail.at("silent_cores");
  if (silent.is_null()) std::puts("templates and sampling are not shown: the appliance was too busy to ask its cores");
  for (const json& core : silent) {
    std::printf("core %s did not answer: what it knows is not shown\n", text_of(core).c_str());
  }
}

}  // namespace

void print_exporters(const json& rows, uint64_t not_listed) {
  exporter_table(rows).print();
  for (const json& e : rows) print_verdicts(e);
  if (rows.empty()) std::puts("no exporter has sent anything yet");
  if (not_listed > 0) {
    std::printf("%lu more are not listed\n", static_cast<unsigned long>(not_listed));
  }
}

void print_one_exporter(const json& e, TemplateFields fields) {
  exporter_table(json::array({e})).print();
  print_verdicts(e);
  print_quirks(e.at("quirks"));
  print_domains(e);
  print_interfaces(e.at("interfaces"));
  std::puts("");
  print_sampling(e.at("sampling"));
  std::puts("");
  const Readers readers = readers_of(e.at("detail"));
  if (e.at("template_list").empty()) {
    print_forms(e.at("protocols"), readers);
  } else {
    print_templates(e.at("template_list"), readers, fields);
  }
  print_gaps(e.at("detail"));
}

}  // namespace weir::cli
