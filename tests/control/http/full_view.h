// full_view.h — A view in which nothing is absent.
#pragma once

#include "control/view.h"

namespace weir::control {

/// Every list has a row and everything that may be null is there.
inline ApplianceView full_view() {
  ApplianceView view;
  view.appliance_uuid = "11111111-2222-4333-8444-555555555555";
  view.partition = "default";
  view.state = ApplianceState::running;
  view.subjects = {"flows.raw.netflow"};
  view.exporter_feed.is_on = true;
  dataplane::PortStats port;
  port.name = "p0";
  port.missed = port.errors = port.no_mbuf = 1;
  port.exception = dataplane::ExceptionStats{.interface = "weir0"};
  port.tcp = dataplane::TcpStats{};
  view.ports.push_back(port);
  view.replicas.push_back({.to = "192.0.2.20:2055"});
  view.cores.push_back({});
  view.cores.back().buffers = 64;
  view.cores.back().worker = dataplane::WorkerStats{.capacity = 2048};
  view.listeners.push_back({});
  view.listeners.back().port = 2055;
  PublisherView publisher;
  publisher.name = "jetstream";
  publisher.records_max = 100;
  publisher.spool.dir = "/var/lib/weir/spool/jetstream";
  publisher.spool.was_killed = true;
  publisher.losses.push_back({IpAddress::from_v4(1), RouteId{0}, {}});
  view.publishers.push_back(publisher);
  view.losses.push_back({IpAddress::from_v4(1), RouteId{0}, {}});
  view.discrepancies = {"one"};
  view.state_kept.path = "/var/lib/weir/decoder_state";
  view.state_kept.loaded_written_ns = view.state_kept.saved_ns = 1;
  decode::ExporterStats e;
  e.address = IpAddress::from_v4(0xC0000201u);
  e.protocols = 1;
  e.clock_samples = e.sampling_rate_override = e.samples_dropped = 1;
  e.last_error = decode::DatagramError::bad_count;
  e.quirks[static_cast<size_t>(decode::Quirk::template_conflict)] = 3;
  view.exporters.push_back(e);
  view.exporter_list = std::make_shared<const ExporterList>(
      *ExporterList::parse("address,name,site,ifIndex,ifName,speed,boundary\n192.0.2.1,a,b,7,xe7,10G,yes\n", "list"));
  view.rules.rules = *classify::RuleSet::parse(
      {{"rules.yaml", "version: 1\nrules: [{id: web, name: Web, when: dst_port == 80, then: {labels: [web], sample: 2}}]"}}, {});
  view.rules.totals.resize(1);
  decode::DomainStats d;
  d.exporter = e.address;
  d.agent = e.address;
  d.session_port = 40'000;
  d.version = 9;
  view.domains.push_back(d);
  return view;
}

}  // namespace weir::control
