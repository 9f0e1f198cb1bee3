#include "control/event_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#if defined(__clang__)
#pragma clang diagnostic ignored "-Wthread-safety-analysis"  // one thread plays all roles here
#endif

namespace weir::control {
namespace {

using decode::Event;
using decode::EventKind;
using decode::ExporterStats;
using decode::TemplateUse;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using testing::StartsWith;

IpAddress exporter(uint32_t i) { return IpAddress::from_v4(0xC0000200u + i); }

Event event(EventKind kind, uint32_t from = 1) {
  Event e;
  e.kind = kind;
  e.exporter = exporter(from);
  e.version = 9;
  e.domain = 7;
  e.template_id = 256;
  e.fields = 20;
  e.use = TemplateUse::data;
  e.port = 2055;
  return e;
}

class EventLogTest : public testing::Test {
 protected:
  EventLog log_with(const EventLogLimits& limits) {
    return EventLog(limits, [this](service::LogLevel level, const std::string& line) {
      lines_.push_back(line);
      levels_.push_back(level);
    });
  }
  std::vector<std::string> take_lines() { return std::exchange(lines_, {}); }

  RoleScope role_{control_thread};
  std::vector<std::string> lines_;
  std::vector<service::LogLevel> levels_;
};

TEST_F(EventLogTest, SaysTheWordsThatRunbooksLookFor) {
  Event missing = event(EventKind::template_missing);
  missing.use = TemplateUse::unknown;
  missing.template_id = 300;
  Event conflict = event(EventKind::template_conflict);
  conflict.other_port = 9995;
  Event options = event(EventKind::template_learned);
  options.use = TemplateUse::options;
  options.version = 10;
  for (const auto& [e, line] : std::vector<std::pair<Event, std::string>>{
           {event(EventKind::exporter_seen),
            "Exporter seen for the first time - Exporter: 192.0.2.1, Protocol: V9, Domain: 7, "
            "Port: 2055"},
           {event(EventKind::template_learned),
            "Template learned - ID: 256, Protocol: V9, Exporter: 192.0.2.1, Domain: 7, Kind: data, "
            "Fields: 20"},
           {options,
            "Template learned - ID: 256, Protocol: IPFIX, Exporter: 192.0.2.1, Domain: 7, Kind: "
            "options, Fields: 20"},
           {event(EventKind::template_redefined),
            "Template collision - ID: 256, Protocol: V9, Exporter: 192.0.2.1, Domain: 7, Kind: "
            "data, Fields: 20; defined anew"},
           {conflict,
            "Template collision - ID: 256, Protocol: V9, Exporter: 192.0.2.1, Domain: 7, Kind: "
            "data, Fields: 20; port 2055 contradicts port 9995: each keeps its own"},
           {event(EventKind::template_evicted),
            "Template evicted - ID: 256, Protocol: V9, Exporter: 192.0.2.1, Domain: 7, Kind: data; "
            "the least recently used made room: raise max_templates"},
           {event(EventKind::template_expired),
            "Template expired - ID: 256, Protocol: V9, Exporter: 192.0.2.1, Domain: 7, Kind: data, "
            "Fields: 20"},
           {event(EventKind::template_withdrawn),
            "Template withdrawn - ID: 256, Protocol: V9, Exporter: 192.0.2.1, Domain: 7, Kind: "
            "data, Fields: 20"},
           {missing,
            "Missing template - ID: 300, Protocol: V9, Exporter: 192.0.2.1, Domain: 7; its data "
            "waits"},
       }) {
    EXPECT_EQ(line_of(e), line);
  }
  EXPECT_EQ(line_of(event(EventKind::name_learned)), "");
}

TEST_F(EventLogTest, HoldsBackWhatAnExporterRepeatsAndSaysHowMuch) {
  EventLog log = log_with({.lines_per_exporter = 2, .interval_ns = 60 * kNsPerSec});
  const uint64_t start = 1000 * kNsPerSec;
  log.tick(start);
  for (int i = 0; i < 5; ++i) log.on_event(event(EventKind::template_missing), start);
  log.on_event(event(EventKind::template_learned), start);
  log.on_event(event(EventKind::template_missing, 2), start);
  EXPECT_THAT(take_lines(), SizeIs(4)) << "two of the first, one of each other";
  EXPECT_EQ(levels_[0], service::LogLevel::warning);
  EXPECT_EQ(levels_[2], service::LogLevel::info);
  log.tick(start + 59 * kNsPerSec);
  EXPECT_THAT(take_lines(), IsEmpty());
  log.tick(start + 60 * kNsPerSec);
  EXPECT_THAT(take_lines(),
              ElementsAre("Missing template - Exporter: 192.0.2.1: 3 more held back in 60 s"));
  log.on_event(event(EventKind::template_missing), start + 61 * kNsPerSec);
  EXPECT_THAT(take_lines(), SizeIs(1)) << "a new interval";
}

TEST_F(EventLogTest, SaysWhatTheOperatorCallsAnExporterBehindItsAddress) {
  EventLog log = log_with({.lines_per_exporter = 1, .interval_ns = 60 * kNsPerSec});
  log.set_names([](const IpAddress& of) { return of == exporter(1) ? std::string("edge1") : std::string(); });
  const uint64_t start = 1000 * kNsPerSec;
  log.tick(start);
  log.on_event(event(EventKind::template_learned), start);
  log.on_event(event(EventKind::template_learned), start);
  log.on_event(event(EventKind::template_learned, 2), start);
  log.tick(start + 60 * kNsPerSec);
  EXPECT_THAT(take_lines(),
              ElementsAre("Template learned - ID: 256, Protocol: V9, Exporter: 192.0.2.1 (edge1), Domain: 7, Kind: data, "
                          "Fields: 20",
                          "Template learned - ID: 256, Protocol: V9, Exporter: 192.0.2.2, Domain: 7, Kind: data, Fields: 20",
                          "Template learned - Exporter: 192.0.2.1 (edge1): 1 more held back in 60 s"));
}

TEST_F(EventLogTest, HoldsBackAFloodOfExportersAndSaysHowMuch) {
  EventLog log = log_with({.lines_in_all = 10, .interval_ns = 60 * kNsPerSec, .windows_max = 20});
  const uint64_t start = 1000 * kNsPerSec;
  log.tick(start);
  for (uint32_t i = 0; i < 100; ++i) log.on_event(event(EventKind::exporter_seen, i), start);
  EXPECT_THAT(take_lines(), SizeIs(10));
  log.tick(start + 60 * kNsPerSec);
  EXPECT_THAT(take_lines(), ElementsAre("Exporter seen for the first time - 90 more of several "
                                        "exporters held back in 60 s"));
}

ExporterStats row(uint32_t i, uint64_t hits) {
  ExporterStats e;
  e.address = exporter(i);
  e.port = 2055;
  e.protocols = 1u << static_cast<uint32_t>(decode::Protocol::netflow_v9);
  e.templates = 15;
  e.templates_max = 2000;
  e.templates_known = 1250;
  e.templates_new = 15;
  e.data_templates = {.size = 8, .hits = hits, .misses = 8, .evictions = 2};
  e.options_templates = {.size = 7, .hits = 60, .misses = 1, .evictions = 0};
  e.sets_waiting = 3;
  return e;
}

TEST_F(EventLogTest, WritesALineAboutTheCacheOfEachExporterAtWork) {
  EventLog log = log_with({.cache_interval_ns = 30 * kNsPerSec});
  std::vector<ExporterStats> rows = {row(1, 8420), row(2, 100)};
  ExporterStats idle;
  idle.address = exporter(3);
  rows.push_back(idle);
  const uint64_t start = 1000 * kNsPerSec;
  log.on_exporters(rows, start);
  EXPECT_THAT(take_lines(), IsEmpty()) << "the first interval has only begun";
  log.on_exporters(rows, start + 29 * kNsPerSec);
  EXPECT_THAT(take_lines(), IsEmpty());
  log.on_exporters(rows, start + 30 * kNsPerSec);
  EXPECT_THAT(
      take_lines(),
      ElementsAre("V9 Template Cache [192.0.2.1:2055] - Templates: 15/2000, Data: 8/2000, Options: "
                  "7/2000, Template Hits/Misses: 1250/15, Data Hits/Misses: 8420/8, Options "
                  "Hits/Misses: 60/1, Data Evictions: 2, Options Evictions: 0, Pending: 3",
                  StartsWith("V9 Template Cache [192.0.2.2:2055]")));
  rows[1] = row(2, 101);
  log.on_exporters(rows, start + 60 * kNsPerSec);
  EXPECT_THAT(take_lines(), ElementsAre(StartsWith("V9 Template Cache [192.0.2.2:2055]")))
      << "only who had work since";
}

TEST_F(EventLogTest, BoundsTheLinesOfARoundAndTakesTurns) {
  EventLog log = log_with({.cache_interval_ns = kNsPerSec, .cache_lines_max = 2});
  std::vector<ExporterStats> rows;
  for (uint32_t i = 1; i <= 3; ++i) rows.push_back(row(i, 1));
  log.on_exporters(rows, kNsPerSec);
  log.on_exporters(rows, 2 * kNsPerSec);
  EXPECT_THAT(take_lines(), ElementsAre(StartsWith("V9 Template Cache [192.0.2.1:"),
                                        StartsWith("V9 Template Cache [192.0.2.2:"),
                                        "Template Cache - 1 more exporters in the next rounds"));
  for (uint32_t i = 1; i <= 3; ++i) rows[i - 1] = row(i, 2);
  log.on_exporters(rows, 3 * kNsPerSec);
  EXPECT_THAT(take_lines(), ElementsAre(StartsWith("V9 Template Cache [192.0.2.3:"),
                                        StartsWith("V9 Template Cache [192.0.2.1:"),
                                        "Template Cache - 1 more exporters in the next rounds"));
}

}  // namespace
}  // namespace weir::control
