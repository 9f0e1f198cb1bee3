#include "soak/hostile_traffic.h"

#include <algorithm>

#include "base/byte_order.h"
#include "fuzz/good_messages.h"

namespace weir::soak {

using namespace lab;

Octets HostileTraffic::noise(size_t octets) {
  Octets all(octets);
  for (uint8_t& o : all) o = static_cast<uint8_t>(random_.next());
  return all;
}

Octets HostileTraffic::netflow_v9(const Octets& sets) {
  return NetflowV9Builder{}
      .count(static_cast<uint16_t>(random_.next()))
      .unix_secs(static_cast<uint32_t>(random_.next()))
      .sequence(static_cast<uint32_t>(random_.next()))
      .source_id(domain())
      .raw(sets)
      .build();
}

Octets HostileTraffic::ipfix(const Octets& sets) {
  return IpfixBuilder{}
      .export_time(static_cast<uint32_t>(random_.next()))
      .sequence(static_cast<uint32_t>(random_.next()))
      .domain(domain())
      .raw(sets)
      .build();
}

Octets HostileTraffic::of_either(const Octets& sets_v9, const Octets& sets_ipfix) {
  return random_.below(2) == 0 ? netflow_v9(sets_v9) : ipfix(sets_ipfix);
}

Octets HostileTraffic::sflow(const Octets& samples, uint32_t count) {
  return join({u32(5), u32(1), u32(random_.next()), u32(random_.below(4000)), u32(random_.next()),
               u32(random_.next()), u32(count), samples});
}

Octets HostileTraffic::template_flood() {
  Octets body;
  while (body.size() < 1000) {
    Template t{.id = template_id()};
    for (uint32_t n = 1 + random_.below(60); n != 0; --n) {
      t.fields.push_back(
          {static_cast<uint16_t>(random_.below(500)),
           static_cast<uint16_t>(random_.below(random_.below(8) == 0 ? 65'536 : 20))});
    }
    append(body, template_octets(t));
  }
  body.resize(1300);
  return of_either(set_octets(0, body), set_octets(2, body));
}

/// The same id with other fields each time; several ports of one source contradict each other.
Octets HostileTraffic::template_flapping() {
  const uint16_t width = static_cast<uint16_t>(1 + random_.below(8));
  const Octets body =
      template_octets({.id = 256, .fields = {{8, 4}, {1, width}, {2, width}, {4, 1}}});
  const Octets data = set_octets(256, noise(200));
  return of_either(join({set_octets(0, body), data}), join({set_octets(2, body), data}));
}

Octets HostileTraffic::templates_of_nothing() {
  const Octets body =
      join({template_octets({.id = 300}),
            template_octets({.id = 301, .fields = {{1, 0}, {2, 0}, {8, 0}}}),
            template_octets({.id = 302, .fields = {{1, 4}}, .field_count = 65'535})});
  const Octets data = join({set_octets(300, noise(400)), set_octets(301, noise(400))});
  return of_either(join({set_octets(0, body), data}), join({set_octets(2, body), data}));
}

Octets HostileTraffic::data_without_template() {
  Octets sets;
  while (sets.size() < 1000)
    append(sets, set_octets(template_id(), noise(20 + random_.below(300))));
  return of_either(sets, sets);
}

Octets HostileTraffic::options_flood() {
  const OptionsTemplate names{
      .id = 400, .scopes = {{1, 4}}, .fields = {{10, 4}, {82, 16}, {83, 32}}};
  const OptionsTemplate rates{
      .id = 401, .scopes = {{1, 4}}, .fields = {{48, 4}, {50, 4}, {160, 8}}};
  const Octets data = join({set_octets(400, noise(600)), set_octets(401, noise(400))});
  return of_either(
      join({set_octets(1, join({options_template_octets(names), options_template_octets(rates)})),
            data}),
      join({set_octets(3, join({ipfix_options_template_octets(names),
                                ipfix_options_template_octets(rates)})),
            data}));
}

Octets HostileTraffic::records_of_one_octet() {
  const Octets body = template_octets({.id = 500, .fields = {{4, 1}}});
  const Octets data = set_octets(500, noise(1200));
  return of_either(join({set_octets(0, body), data}), join({set_octets(2, body), data}));
}

Octets HostileTraffic::lying_lengths() {
  const Octets sets = join({set_octets(template_id(), noise(40)),
                            set_octets(static_cast<uint16_t>(random_.below(300)), noise(60),
                                       kNoPadding, static_cast<uint16_t>(random_.next()))});
  switch (random_.below(3)) {
    case 0: return netflow_v9(sets);
    case 1: return IpfixBuilder{}.length(static_cast<uint16_t>(random_.next())).raw(sets).build();
    default:
      return NetflowV5Builder{}.count(static_cast<uint16_t>(random_.next())).raw(noise(48)).build();
  }
}

Octets HostileTraffic::sflow_flood() {
  Octets samples;
  while (samples.size() < 600) {
    const Octets body = noise(32 + 4 * random_.below(40));
    const bool lies = random_.below(8) == 0;
    append(samples,
           join({u32(1 + random_.below(5)), u32(lies ? random_.next() : body.size()), body}));
  }
  return sflow(samples, random_.below(2) == 0 ? 0xffff'ffffu : 6);
}

Octets HostileTraffic::damaged() {
  static const auto kGood = good_messages();
  const auto& sequence = kGood[random_.below(static_cast<uint32_t>(kGood.size()))];
  Octets d = sequence[random_.below(static_cast<uint32_t>(sequence.size()))];
  for (uint32_t hits = random_.below(6); hits != 0; --hits) {
    d[random_.below(static_cast<uint32_t>(d.size()))] = static_cast<uint8_t>(random_.next());
  }
  if (random_.below(2) == 0) d.resize(1 + random_.below(static_cast<uint32_t>(d.size())));
  return d;
}

Octets HostileTraffic::next() {
  Octets d;
  const uint32_t kind = random_.below(1000);
  if (kind < 2) {
    d = records_of_one_octet();  // more would be a test of who takes the records
  } else if (kind < 200) {
    d = template_flood();
  } else if (kind < 300) {
    d = template_flapping();
  } else if (kind < 350) {
    d = templates_of_nothing();
  } else if (kind < 550) {
    d = data_without_template();
  } else if (kind < 700) {
    d = options_flood();
  } else if (kind < 750) {
    d = lying_lengths();
  } else if (kind < 850) {
    d = sflow_flood();
  } else if (kind < 950) {
    d = damaged();
  } else {
    d = noise(1 + random_.below(200));
  }
  d.resize(std::min(d.size(), kOctetsMax));
  return d;
}

}  // namespace weir::soak
