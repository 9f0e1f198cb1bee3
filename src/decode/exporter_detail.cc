#include "decode/exporter_detail.h"

#include <algorithm>
#include <array>

#include "decode/decoder_state.h"

namespace weir::decode {
namespace {

constexpr size_t kDetailOctets = 64 * 1024;  // so much ends a call

/// The least keys of those that are offered, in order.
template <class Node>
class Least {
 public:
  void offer(const DetailKey& key, const Node* node) noexcept {
    if (count_ == kDetailRecords) {
      if (key > found_[count_ - 1].key) return;
      --count_;
    }
    size_t at = count_++;
    for (; at > 0 && found_[at - 1].key > key; --at) found_[at] = found_[at - 1];
    found_[at] = {key, node};
  }
  struct Found {
    DetailKey key;
    const Node* node;
  };
  std::span<const Found> found() const noexcept { return {found_.data(), count_}; }
  bool is_full() const noexcept { return count_ == kDetailRecords; }

 private:
  std::array<Found, kDetailRecords> found_;
  size_t count_ = 0;
};

DetailKey key_of(const Domain& d) noexcept { return {uint64_t{d.version} << 32 | d.id, d.session}; }
DetailKey key_of(const KeyedRate& r) noexcept { return {static_cast<uint64_t>(r.kind), r.key}; }
DetailKey key_of(const Template& t) noexcept { return {t.id, t.port}; }

/// sFlow's say nothing that lasts, and have an agent's address to their number.
bool says_something(const Domain& d) noexcept { return d.agent == IpAddress{} && d.version <= 10; }

const Domain* next_domain(const Exporter& e, const DetailCursor& cursor) noexcept {
  const Domain* found = nullptr;
  const DetailKey after{uint64_t{cursor.version} << 32 | cursor.domain, cursor.session};
  for (const Domain* d = e.domains.front(); d != nullptr; d = e.domains.next(d)) {
    if (!says_something(*d) || (cursor.has_domain && key_of(*d) <= after)) continue;
    if (found == nullptr || key_of(*d) < key_of(*found)) found = d;
  }
  return found;
}

const Domain* same_domain(const Exporter& e, const DetailCursor& cursor) noexcept {
  for (const Domain* d = e.domains.front(); d != nullptr; d = e.domains.next(d)) {
    if (says_something(*d) && d->version == cursor.version && d->id == cursor.domain && d->session == cursor.session) {
      return d;
    }
  }
  return nullptr;
}

uint32_t octets_of(const KeyedRate&) noexcept { return kStateRateOctets; }
uint32_t octets_of(const Template& t) noexcept { return StateWriter::octets_of(t); }
void write(StateWriter& writer, const KeyedRate& r) noexcept { writer.rate(r); }
void write(StateWriter& writer, const Template& t) noexcept {
  writer.template_(t, FuseState{t.fuse_verdict, t.fuse_refusal}.octet());
}

/// Writes what was found; true when that was the last of this stage.
template <class Node>
bool write_found(const Least<Node>& least, StateWriter& writer, DetailCursor& cursor) noexcept {
  for (const auto& [key, node] : least.found()) {
    if (writer.octets() >= kDetailOctets || !writer.has_room(octets_of(*node))) return false;
    write(writer, *node);
    cursor.last = key;
    cursor.has_last = true;
  }
  return !least.is_full();
}

template <class Node>
void offer_behind(const Node& node, const DetailCursor& cursor, Least<Node>& least) noexcept {
  const DetailKey key = key_of(node);
  if (!cursor.has_last || key > cursor.last) least.offer(key, &node);
}

}  // namespace

size_t DecoderState::copy_exporter(const IpAddress& address, DetailCursor& cursor,
                                   std::span<uint8_t> out) noexcept {
  const Exporter* e = exporters_.find(address);
  if (e == nullptr) {
    cursor.is_over = true;
    return 0;
  }
  cursor.is_known = true;
  const Domain* d = cursor.stage == DetailCursor::Stage::next_domain ? next_domain(*e, cursor)
                                                                     : same_domain(*e, cursor);
  // One that went between two calls is left as it is.
  if (d == nullptr && cursor.stage != DetailCursor::Stage::next_domain) d = next_domain(*e, cursor);
  if (d == nullptr) {
    cursor.is_over = true;
    return 0;
  }
  StateWriter writer(out, wall_offset_ns_);
  writer.exporter(*e, 0);
  writer.domain(*d);
  if (!cursor.has_domain || cursor.version != d->version || cursor.domain != d->id || cursor.session != d->session) {
    cursor.stage = DetailCursor::Stage::next_domain;
  }
  switch (cursor.stage) {
    case DetailCursor::Stage::next_domain:
      cursor.has_domain = true;
      cursor.version = d->version;
      cursor.domain = d->id;
      cursor.session = d->session;
      cursor.has_last = false;
      cursor.stage = DetailCursor::Stage::rates;
      break;
    case DetailCursor::Stage::rates: {
      Least<KeyedRate> least;
      for (const KeyedRate* r = e->rates.front(); r != nullptr; r = e->rates.next(r)) {
        if (r->domain == d) offer_behind(*r, cursor, least);
      }
      if (!write_found(least, writer, cursor)) break;
      cursor.has_last = false;
      cursor.stage = DetailCursor::Stage::templates;
      break;
    }
    case DetailCursor::Stage::templates: {
      Least<Template> least;
      for (const auto* list : {&d->templates, &d->options_templates}) {
        for (const Template* t = list->front(); t != nullptr; t = list->next(t)) {
          offer_behind(*t, cursor, least);
        }
      }
      if (write_found(least, writer, cursor)) cursor.stage = DetailCursor::Stage::next_domain;
      break;
    }
  }
  return writer.octets();
}

}  // namespace weir::decode
