#include "control/loss_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace weir::control {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<std::string> g_lines;
void keep(const std::string& line) { g_lines.push_back(line); }

constexpr uint64_t kSec = 1'000'000'000;

TEST(LossLog, SaysEachKindOfLossOnceInAWhile) {
  g_lines.clear();
  LossLog log(keep);
  ApplianceView view;
  view.cores.emplace_back();
  view.publishers.emplace_back().name = "jetstream";
  dataplane::PortStats port;
  port.name = "host";
  view.ports.push_back(port);
  log.look(view, 100 * kSec);
  EXPECT_THAT(g_lines, IsEmpty());

  view.cores[0].ledger.record_drops[outbound::RecordDrop::no_buffer] = 7;
  view.cores[0].ledger.record_drops[outbound::RecordDrop::filtered] = 9;  // wanted
  view.publishers[0].failures[outbound::DeliveryFailure::queue_full] = 30;
  view.ports[0].missed = 5;
  log.look(view, 101 * kSec);
  EXPECT_THAT(g_lines, ElementsAre(HasSubstr("port host: 5 packets lost (missed, 5 in all)"),
                                   HasSubstr("encoder: 7 records lost (no_buffer, 7 in all)"),
                                   HasSubstr("publisher jetstream: 30 records lost (queue_full")));
  EXPECT_THAT(g_lines[1], HasSubstr("buffer_bytes"));

  g_lines.clear();
  view.publishers[0].failures[outbound::DeliveryFailure::queue_full] = 50;
  log.look(view, 102 * kSec);
  EXPECT_THAT(g_lines, IsEmpty()) << "said a second ago";
  log.look(view, 111 * kSec);
  EXPECT_THAT(g_lines, ElementsAre(HasSubstr("20 records lost (queue_full, 50 in all)")));
  log.look(view, 200 * kSec);
  EXPECT_EQ(g_lines.size(), 1u) << "nothing new";
}

TEST(LossLog, NamesTheInterfaceByWhichTheHostsFramesAreLost) {
  g_lines.clear();
  LossLog log(keep);
  ApplianceView view;
  view.cores.emplace_back();
  view.ports.emplace_back().exception = dataplane::ExceptionStats{.interface = "weir0", .not_sent = 2, .invalid = 3, .dropped = 38770};
  log.look(view, 100 * kSec);
  EXPECT_THAT(g_lines, ElementsAre(HasSubstr("interface weir0: 2 frames lost (not_sent"),
                                   HasSubstr("interface weir0: 3 frames lost (invalid"),
                                   HasSubstr("interface weir0: 38770 frames lost (dropped, 38770 in all): the host, replicas")));
}

TEST(LossLog, NamesTheWorkerThatIsTooFarBehind) {
  g_lines.clear();
  LossLog log(keep);
  ApplianceView view;
  view.cores.resize(2);
  view.cores[1].info = {.core = 1, .serves = "p0 worker 0"};
  view.cores[1].worker = dataplane::WorkerStats{.handed = 100, .full = 8};
  log.look(view, 100 * kSec);
  EXPECT_THAT(g_lines, ElementsAre(HasSubstr("core 1 (p0 worker 0): 8 frames lost (worker_full, 8 in all): a worker was")));
}

TEST(LossLog, SaysAtTheEndOfTimeWhatItHeldBack) {
  g_lines.clear();
  LossLog log(keep);
  ApplianceView view;
  PublisherView& p = view.publishers.emplace_back();
  p.name = "kafka";
  p.failures[outbound::DeliveryFailure::queue_full] = 967;
  log.look(view, 100 * kSec);
  p.failures[outbound::DeliveryFailure::queue_full] = 30'371;
  log.look(view, 101 * kSec);
  EXPECT_EQ(g_lines.size(), 1u);
  log.look(view, ~uint64_t{0});
  ASSERT_EQ(g_lines.size(), 2u);
  EXPECT_THAT(g_lines[1], HasSubstr("29404 records lost (queue_full, 30371 in all)"));
}

TEST(LossLog, SaysWhatASpoolLost) {
  g_lines.clear();
  LossLog log(keep);
  ApplianceView view;
  PublisherView& p = view.publishers.emplace_back();
  p.name = "kafka";
  p.spool.records = 5;
  log.look(view, 100 * kSec);
  EXPECT_THAT(g_lines, IsEmpty());
  p.spool.records_expired = 70;
  p.spool.records_damaged = 8;
  p.spool.failures[outbound::DeliveryFailure::too_large] = 9;
  log.look(view, 101 * kSec);
  EXPECT_THAT(g_lines, ElementsAre(HasSubstr("publisher kafka: spool: 70 records lost (expired, 70 in all)"),
                                   HasSubstr("spool: 8 records lost (damaged"),
                                   HasSubstr("spool: 9 records lost (too_large")));
}

TEST(LossLog, SaysThatAPublishersChannelFillsAndIsFull) {
  g_lines.clear();
  LossLog log(keep);
  ApplianceView view;
  PublisherView& p = view.publishers.emplace_back();
  p.name = "stdout";
  p.records_max = 300;
  p.records_in_flight = 240;
  p.batches_in_flight = 3;
  p.queue_fill = 0.8;
  log.look(view, 100 * kSec);
  EXPECT_THAT(g_lines, IsEmpty());
  p.records_in_flight = 261;
  p.queue_fill = 0.87;
  log.look(view, 101 * kSec);
  log.look(view, 130 * kSec);
  ASSERT_EQ(g_lines.size(), 1u) << "once in a minute";
  EXPECT_THAT(g_lines[0], HasSubstr("Publisher channel 87 % full: publisher stdout: 261 of 300"));
  g_lines.clear();
  p.failures[outbound::DeliveryFailure::queue_full] = 30;
  p.failures[outbound::DeliveryFailure::rejected] = 1;
  log.look(view, 131 * kSec);
  EXPECT_THAT(g_lines, ElementsAre(HasSubstr("Publisher channel full: publisher stdout: 30 records"),
                                   testing::StartsWith("publisher stdout: 1 records lost")));
  g_lines.clear();
  log.look(view, 161 * kSec);
  EXPECT_THAT(g_lines, ElementsAre(HasSubstr("Publisher channel 87 % full")));
}

TEST(LossLog, SaysThatATableOfSourcesIsFull) {
  g_lines.clear();
  LossLog log(keep);
  ApplianceView view;
  view.cores.emplace_back().ledger.datagram_errors[decode::DatagramError::exporter_table_full] = 3;
  view.cores.back().ledger.datagram_errors[decode::DatagramError::unknown_version] = 4;  // garbage
  log.look(view, kSec);
  EXPECT_THAT(g_lines, ElementsAre(HasSubstr("3 datagrams lost (exporter_table_full")));
}

}  // namespace
}  // namespace weir::control
