#include "control/exporters/exporter_quirks.h"

namespace weir::control {

std::string_view meaning_of(decode::Quirk quirk) noexcept {
  using enum decode::Quirk;
  switch (quirk) {
    case trailing_octets:
      return "octets behind the last record that the datagram does not account for; they are left out, nothing to do";
    case zero_filled_tail: return "datagrams filled up with zeros; harmless, nothing to do";
    case nonzero_padding:
      return "padding that is not zero; harmless, but if records look wrong, compare them with the template's fields";
    case long_padding:
      return "more octets behind the last record of a set than padding may have: its templates may not be what it sends; "
             "have it send them anew, or update its software";
    case set_of_other_version:
      return "templates written NetFlow v9's way in IPFIX or the other way round; they are taken, nothing to do";
    case repeated_element:
      return "an element or a block of counters more than once in a template, a record or a sample; where only one has a "
             "place, the others are left out. Take the double field out of its flow record";
    case odd_width:
      return "elements of a width that they cannot have: their columns may stay empty. Look at its templates, and update "
             "its software";
    case zero_length_field: return "fields of no octets in a template: they say nothing. Take them out of its flow record";
    case variable_length_in_v9:
      return "fields of variable length in NetFlow v9, which has none; they are read IPFIX's way. Export IPFIX if it can";
    case count_mismatch:
      return "the header promises another number of records or octets than there are: datagrams may be cut on the way. "
             "Look at MTUs, and have it send datagrams that fit";
    case template_not_decodable:
      return "templates whose records have no length; what they describe is skipped. Change its flow record, or update its "
             "software";
    case template_redefined:
      return "a template id defined anew with other fields: usual after a change of its configuration. If it goes on, "
             "several processes or line cards share a source id (observation domain): give each its own";
    case template_conflict:
      return "two of its ports define the same template id differently: give each process or line card a source id "
             "(observation domain) of its own";
    case scope_split_by_port:
      return "templates are kept by port since its ports contradict each other: give each process or line card a source id "
             "(observation domain) of its own";
    case implausible_time:
      return "flow times that cannot be, replaced by the time of receipt or export: give it NTP, and look at its uptime";
    case arena_overflow:
      return "more labels, AS numbers, communities or octets than a record has room for; the rest is cut off, nothing to do";
    case truncated_record: return "records that end before they are whole: look at MTUs, and update its software";
    case unknown_flow_record: return "sFlow records of formats that are not known; they are left out, the sample is kept";
    case sequence_untracked:
      return "sequence numbers of more sources than are followed: what is lost of them is not seen";
    case opaque_list: return "lists that cannot be taken apart: is the template that they refer to sent?";
    case implausible_clock: return "headers whose time is none: give it NTP";
    case implausible_rate:
      return "sampling rates beyond a million, which are not believed: say the true one (sampling: override)";
    case sampling_interval_overflow:
      return "a sampling interval too large for the header of NetFlow v5: say the true one (sampling: override), or export v9";
    case unknown_counter_block: return "sFlow counters of formats that are not known, or not whole; they are left out";
    case record_limit:
      return "more records in a datagram than are taken, from templates of a few octets: is this a router?";
    case count_: break;
  }
  return {};
}

}  // namespace weir::control
