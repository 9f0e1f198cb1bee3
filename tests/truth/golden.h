// golden.h — What another program's expected decode says of a capture, in a form that can be compared.
//
// A golden is read into values that name where we would say the same: columns of flowpb.FlowMessage,
// or an element that travels unmapped. Where they differ, docs/PROTOCOLS.md has to say why.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "flow.pb.h"

namespace weir::truth {

/// How octets without a column are read.
enum class Kind : uint8_t { number, address, mac, text, octets, label, application };

/// Where we may say a value: a column ("src_addr"; "mpls_label/2" is a list's third,
/// "interface.if_speed" a message's, "@duration_ms" is made of columns), or the octets of an element
/// without one.
struct Place {
  std::string column;
  uint32_t enterprise = 0;
  uint32_t id = 0;
};

/// One value of a golden. Texts are what value_text() below makes of ours.
struct Expected {
  std::string name;  // as the golden has it
  Kind kind = Kind::number;
  std::string value;
  std::vector<Place> places;
  /// Times: ours may be less than that later, because the golden's are cut to seconds or milliseconds.
  uint64_t tolerance = 0;
  uint64_t tolerance_before = 0;  // the other way
};
using Record = std::vector<Expected>;

std::string number_text(uint64_t n);
std::string address_text(const std::string& octets);  // 4 or 16; else empty
std::string mac_text(uint64_t mac);
std::string hex_text(const std::string& octets);
/// With a space before it unless it is the first.
void append_word(std::string& text, const std::string& word);
/// An address as we write it; a text that is none comes back as it is.
std::string same_address(const std::string& text);
/// `2015-05-02T18:38:08.280Z` → ns since the epoch; 0 where it is no such time.
uint64_t iso_time_ns(const std::string& text);

/// 0, empty, all zeros: what an absent value looks like.
bool is_nothing(const std::string& text);

/// Everything that we say at the places of `e`, in their order.
std::vector<std::string> values_at(const google::protobuf::Message& m, const Expected& e);
bool agrees(const google::protobuf::Message& m, const Expected& e);

/// The IANA element of that name; 0 if there is none.
uint32_t element_named(const std::string& name);
/// The columns that docs/FLOW_MESSAGE.md gives to an element, then the element itself.
std::vector<Place> places_of(uint32_t enterprise, uint32_t id);
Kind kind_of(uint32_t enterprise, uint32_t id);

}  // namespace weir::truth
