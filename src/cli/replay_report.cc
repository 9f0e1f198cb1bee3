#include "cli/replay_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/weirctl_table.h"

namespace weir::cli {

using control::ApplianceView;
using control::CoreView;
using control::PublisherView;
using nlohmann::json;

namespace {

double per_second(uint64_t count, uint64_t ns) {
  return ns == 0 ? 0 : static_cast<double>(count) * 1e9 / static_cast<double>(ns);
}

double ratio(uint64_t a, uint64_t b) { return b == 0 ? 0 : static_cast<double>(a) / static_cast<double>(b); }

/// `1.234 M`.
std::string scaled(double value) {
  if (value >= 1e9) return fmt::format("{:.3f} G", value / 1e9);
  if (value >= 1e6) return fmt::format("{:.3f} M", value / 1e6);
  if (value >= 1e3) return fmt::format("{:.3f} k", value / 1e3);
  return fmt::format("{:.0f} ", value);
}

std::string time_text(uint64_t ns) {
  if (ns >= 1'000'000'000) return fmt::format("{:.3f} s", static_cast<double>(ns) / 1e9);
  if (ns >= 1'000'000) return fmt::format("{:.2f} ms", static_cast<double>(ns) / 1e6);
  return fmt::format("{:.1f} µs", static_cast<double>(ns) / 1e3);
}

/// The ones that are not zero, by name.
template <class Enum>
json reasons_of(const dataplane::Tally<Enum>& tally) {
  json reasons = json::object();
  for (size_t i = 0; i < tally.values.size(); ++i) {
    if (tally.values[i] != 0) reasons[std::string(name_of(static_cast<Enum>(i)))] = tally.values[i];
  }
  return reasons;
}

json ledger_json(const dataplane::Ledger& ledger) {
  json verdicts = reasons_of(ledger.verdicts);
  verdicts.erase("udp");
  return {{"frames", ledger.frames},
          {"frames_rejected", std::move(verdicts)},
          {"worker_full", ledger.worker_full.total()},
          {"no_listener", ledger.no_listener},
          {"datagrams", ledger.datagrams},
          {"datagrams_decoded", ledger.datagrams_decoded},
          {"datagrams_rejected", reasons_of(ledger.datagram_errors)},
          {"sets", ledger.sets},
          {"sets_by_outcome", reasons_of(ledger.set_outcomes)},
          {"sequence_lost", ledger.sequence_lost},
          {"records", ledger.records},
          {"counter_records", ledger.counter_records},
          {"discard_records", ledger.discard_records},
          {"encoded", ledger.encoded},
          {"records_dropped", reasons_of(ledger.record_drops)}};
}

json core_json(const CoreView& core, double cycles_per_ns) {
  const double ns_per_record = ratio(core.busy_ns, core.ledger.records);
  return {{"core", core.info.core},
          {"cpu", core.info.cpu},
          {"records", core.ledger.records},
          {"busy_ns", core.busy_ns},
          {"ns_per_record", ns_per_record},
          {"cycles_per_record", ns_per_record * cycles_per_ns},
          {"encoded_octets", core.encoded_octets},
          {"records_fused", core.records_fused}};
}

/// CPU ns a record; null where it was not measured.
json stages_json(const std::optional<ReplayStages>& stages) {
  if (!stages) return {};
  return {{"parse_ns", stages->parse}, {"decode_ns", stages->decode}, {"encode_ns", stages->encode}, {"all_ns", stages->all()}};
}

json publisher_json(const PublisherView& p, uint64_t delivered_ns) {
  return {{"name", p.name},
          {"kind", p.kind},
          {"acknowledged", p.records_acknowledged},
          {"failed", p.records_failed},
          {"dropped", p.records_dropped},
          {"spooled", p.records_spooled},
          {"in_flight", p.records_in_flight + p.records_waiting},
          {"by_reason", reasons_of(p.failures)},
          {"retries", p.retries},
          {"messages", p.messages},
          {"octets", p.octets},
          {"records_per_second", per_second(p.records_acknowledged, delivered_ns)},
          {"delivery_ns",
           {{"p50", p.delivery.quantile_ns(0.5)},
            {"p99", p.delivery.quantile_ns(0.99)},
            {"p999", p.delivery.quantile_ns(0.999)},
            {"max", p.delivery.max_ns()},
            {"batches", p.delivery.count()}}}};
}

}  // namespace

uint64_t ReplayResult::records_not_delivered() const {
  uint64_t most = 0;
  for (const PublisherView& p : view->publishers) {
    most = std::max(most, p.records_failed + p.records_dropped + p.records_in_flight + p.records_waiting + p.spool.records);
  }
  return view->total().record_drops.total() + most;
}

uint64_t ReplayResult::frames_lost() const {
  const dataplane::Ledger total = view->total();
  return refused + total.worker_full.total() + total.no_listener;
}

json replay_json(const ReplayResult& r) {
  json cores = json::array();
  for (const CoreView& core : r.view->cores) cores.push_back(core_json(core, r.cycles_per_ns));
  json publishers = json::array();
  for (const PublisherView& p : r.view->publishers) publishers.push_back(publisher_json(p, r.delivered_ns));
  const dataplane::Ledger total = r.view->total();
  return {{"played",
           {{"frames", r.frames},
            {"octets", r.octets},
            {"records", r.records},
            {"rounds", r.rounds},
            {"exporters", r.exporters},
            {"elapsed_ns", r.play_ns},
            {"behind_ns", r.behind_ns},
            {"left_out", r.left_out},
            {"frames_per_second", per_second(r.frames, r.play_ns)},
            {"bits_per_second", 8 * per_second(r.octets, r.play_ns)},
            {"records_per_second", per_second(r.records, r.play_ns)}}},
          {"faults",
           {{"lost", r.lost}, {"duplicated", r.duplicated}, {"reordered", r.reordered}, {"corrupted", r.corrupted}}},
          {"frames_refused", r.refused},
          {"frames_lost", r.frames_lost()},
          {"records_not_delivered", r.records_not_delivered()},
          {"is_lossless", r.is_lossless()},
          {"delivered_ns", r.delivered_ns == 0 ? json() : json(r.delivered_ns)},
          {"ledger", ledger_json(total)},
          {"ledger_mismatches", r.view->ledger_mismatches},
          {"cores", std::move(cores)},
          {"publishers", std::move(publishers)},
          {"stages", stages_json(r.stages)},
          {"process_cpu_ns", r.process_cpu_ns},
          {"cpu_ns_per_record", ratio(r.process_cpu_ns, total.records)},
          {"memory_octets", r.memory_octets}};
}

std::vector<std::string> replay_table(const ReplayResult& r) {
  const dataplane::Ledger total = r.view->total();
  std::vector<std::string> lines;
  lines.push_back(fmt::format("played     {} frames of {} exporters in {}, {} round{}", r.frames, r.exporters,
                              time_text(r.play_ns), r.rounds, r.rounds == 1 ? "" : "s"));
  lines.push_back(fmt::format("           {}frames/s, {}bit/s, {}records/s", scaled(per_second(r.frames, r.play_ns)),
                              scaled(8 * per_second(r.octets, r.play_ns)), scaled(per_second(r.records, r.play_ns))));
  if (r.lost + r.duplicated + r.reordered + r.corrupted != 0) {
    lines.push_back(fmt::format("faults     {} lost, {} duplicated, {} reordered, {} corrupted, by intent", r.lost,
                                r.duplicated, r.reordered, r.corrupted));
  }
  if (r.left_out != 0) lines.push_back(fmt::format("left out   {} packets that are no whole UDP datagrams", r.left_out));
  lines.push_back(fmt::format("received   {} frames, {} refused for want of room", total.frames, r.refused));
  if (total.worker_full.total() != 0) {
    lines.push_back(fmt::format("           {} dropped since a worker was too far behind", total.worker_full.total()));
  }
  if (total.no_listener != 0) lines.push_back(fmt::format("           {} for no listener", total.no_listener));
  lines.push_back(fmt::format("decoded    {} of {} datagrams, {} records", total.datagrams_decoded, total.datagrams, total.records));
  if (total.sequence_lost != 0) {
    lines.push_back(fmt::format("           {} missing by the exporters' own sequence numbers", total.sequence_lost));
  }
  const json ledger = ledger_json(total);
  for (const char* key : {"frames_rejected", "datagrams_rejected", "records_dropped"}) {
    for (const auto& [reason, count] : ledger.at(key).items()) {
      lines.push_back(fmt::format("           {} {}: {}", key, reason, count.get<uint64_t>()));
    }
  }
  for (const auto& [outcome, count] : ledger.at("sets_by_outcome").items()) {
    if (outcome != "decoded") lines.push_back(fmt::format("           sets {}: {}", outcome, count.get<uint64_t>()));
  }
  lines.emplace_back();
  Table cores({"core", "cpu", "records", "ns/record", "cycles/record"});
  for (const CoreView& core : r.view->cores) {
    const double ns = ratio(core.busy_ns, core.ledger.records);
    cores.add({fmt::format("{}", core.info.core), fmt::format("{}", core.info.cpu), fmt::format("{}", core.ledger.records),
               fmt::format("{:.1f}", ns), fmt::format("{:.0f}", ns * r.cycles_per_ns)});
  }
  for (std::string& line : cores.lines()) lines.push_back(std::move(line));
  if (r.stages && r.stages->records != 0) {
    lines.push_back(fmt::format("stages     parse {:.1f}, decode {:.1f}, decode and encode {:.1f}; in all {:.1f} ns of CPU a record, on these frames without a port",
                                r.stages->parse, r.stages->decode, r.stages->decode + r.stages->encode, r.stages->all()));
  }
  lines.emplace_back();
  Table publishers({"publisher", "acknowledged", "failed", "dropped", "records/s", "p50", "p99", "p99.9", "max"});
  for (const PublisherView& p : r.view->publishers) {
    publishers.add({p.name, fmt::format("{}", p.records_acknowledged), fmt::format("{}", p.records_failed),
                    fmt::format("{}", p.records_dropped), scaled(per_second(p.records_acknowledged, r.delivered_ns)),
                    time_text(p.delivery.quantile_ns(0.5)), time_text(p.delivery.quantile_ns(0.99)),
                    time_text(p.delivery.quantile_ns(0.999)), time_text(p.delivery.max_ns())});
  }
  for (std::string& line : publishers.lines()) lines.push_back(std::move(line));
  lines.emplace_back();
  lines.push_back(fmt::format("process    {:.1f} ns of CPU a record, all threads but the player; {:.0f} MiB resident at most",
                              ratio(r.process_cpu_ns, total.records), static_cast<double>(r.memory_octets) / (1 << 20)));
  if (r.delivered_ns == 0) lines.emplace_back("unsettled  it ended before everything was delivered or given up");
  lines.push_back(r.is_lossless() ? "lossless   every frame was taken, every record delivered"
                                  : fmt::format("LOSS       {} frames lost, {} records not delivered", r.frames_lost(),
                                                r.records_not_delivered()));
  return lines;
}

std::string replay_svg(const ReplayResult& r) {
  constexpr double kWidth = 800, kHeight = 300, kLeft = 70, kRight = 20, kTop = 40, kBottom = 40;
  struct Rate {
    double at_s, decoded, acknowledged;
  };
  std::vector<Rate> rates;
  for (size_t i = 1; i < r.moments.size(); ++i) {
    const ReplayMoment &a = r.moments[i - 1], &b = r.moments[i];
    if (b.after_ns <= a.after_ns) continue;
    const uint64_t ns = b.after_ns - a.after_ns;
    rates.push_back({static_cast<double>(b.after_ns) / 1e9, per_second(b.records - std::min(b.records, a.records), ns),
                     per_second(b.acknowledged - std::min(b.acknowledged, a.acknowledged), ns)});
  }
  double most = 1, end_s = 1e-9;
  for (const Rate& rate : rates) {
    most = std::max({most, rate.decoded, rate.acknowledged});
    end_s = std::max(end_s, rate.at_s);
  }
  const auto line = [&](double Rate::*value, const char* colour) {
    std::string points;
    for (const Rate& rate : rates) {
      points += fmt::format("{:.1f},{:.1f} ", kLeft + rate.at_s / end_s * (kWidth - kLeft - kRight),
                            kHeight - kBottom - rate.*value / most * (kHeight - kTop - kBottom));
    }
    return fmt::format("<polyline fill=\"none\" stroke=\"{}\" stroke-width=\"2\" points=\"{}\"/>\n", colour, points);
  };
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:.0f}\" height=\"{1:.0f}\" viewBox=\"0 0 {0:.0f} {1:.0f}\" "
      "font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
      "<text x=\"{2:.0f}\" y=\"20\">records a second: <tspan fill=\"#1f77b4\">decoded</tspan>, "
      "<tspan fill=\"#d62728\">acknowledged</tspan></text>\n",
      kWidth, kHeight, kLeft);
  for (int i = 0; i <= 4; ++i) {
    const double y = kHeight - kBottom - i / 4.0 * (kHeight - kTop - kBottom);
    svg += fmt::format(
        "<line x1=\"{0:.0f}\" x2=\"{1:.0f}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\" stroke=\"#ddd\"/>"
        "<text x=\"{3:.0f}\" y=\"{4:.1f}\" text-anchor=\"end\">{5}</text>\n",
        kLeft, kWidth - kRight, y, kLeft - 6, y + 4, scaled(most * i / 4.0));
    svg += fmt::format("<text x=\"{:.1f}\" y=\"{:.0f}\" text-anchor=\"middle\">{:.3g} s</text>\n",
                       kLeft + i / 4.0 * (kWidth - kLeft - kRight), kHeight - kBottom + 18, end_s * i / 4.0);
  }
  return svg + line(&Rate::decoded, "#1f77b4") + line(&Rate::acknowledged, "#d62728") + "</svg>\n";
}

}  // namespace weir::cli
