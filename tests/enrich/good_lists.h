// good_lists.h — Files of what is known that are right: what damage begins with. `kind`: as lists_fuzz.cc has it.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "support/mmdb_writer.h"

namespace weir::enrich::testing {

inline std::vector<std::pair<uint8_t, std::string>> good_lists() {
  const auto ip = [](const char* text) { return *IpAddress::parse(text); };
  test::MmdbWriter database("GeoLite2-City");
  database.add(ip("192.0.2.0"), 24, test::MmdbWriter::city("NL", "Delft"));
  database.add(ip("2001:db8::"), 32, test::MmdbWriter::as_number(64500, "Example"));
  return {{0, "# a list\nprefix,name\n192.0.2.0/24,bot\n192.0.2.128/25,\"worse, much\"\n2001:db8::/32,bot\n::ffff:10.0.0.0/104,x\n0.0.0.0/0,all\n"},
          {0, "\xef\xbb\xbf::/0,everything\n255.255.255.255,last\nffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff,last\n"},
          {1, "name,protocol,ports,prefix\nhttps,tcp,443,\ndns,,53 5353,\nx11,tcp,6000-6063,\npayroll,tcp,8443,10.0.0.0/16\nall,,,2001:db8::7\nospf,ospf,,\n"},
          {2, "Registry,Assignment,Organization Name,Organization Address\nMA-L,00000C,\"Cisco, Inc\",x\nMA-M,8C1F640,Some Body,y\nMA-S,001BC5001,OpenRB,z\n"},
          {2, "# comment\n00:00:0C\tCisco\tCisco Systems, Inc\n00:1B:C5:00:10:00/36\tOpenRBco\tOpenRB.com # note\n01-80-C2-00-00-00/42\tSpanning-tree\n"},
          {3, "key,site,\"long \"\"name\"\"\"\r\n10.0.0.1,Bern,\"B, CH\"\r\n443,web,x\r\n\n\"two\nlines\",y,z\n"},
          {4, database.octets()}};
}

}  // namespace weir::enrich::testing
