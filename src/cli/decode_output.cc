#include "cli/decode_output.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>

#include "export/batch_reader.h"
#include "flow/flow_parser.h"
#include "flow/sflow_discard_view.h"
#include "export/json_lines.h"
#include "export/sflow_json.h"

namespace weir::cli {

namespace {

transform::OcsfOptions options_of(const rules::RuleSet* rules) {
  transform::OcsfOptions options;
  if (rules != nullptr) {
    options.rules_name = rules->name();
    options.rules_hash = rules->hash();
  }
  return options;
}

}  // namespace

DecodeFormat decode_format_of(const std::string& name) {
  if (name == "table") return DecodeFormat::table;
  if (name == "ocsf") return DecodeFormat::ocsf;
  if (name == "protobuf") return DecodeFormat::protobuf;
  return DecodeFormat::json;
}

void DecodeOutput::flush() {
  size_t written = 0;
  while (written < text_.size() && !is_closed()) {
    const ssize_t n = write(STDOUT_FILENO, text_.data() + written, text_.size() - written);
    if (n < 0 && errno == EAGAIN) {  // whoever shares the descriptor made it so
      pollfd ready{STDOUT_FILENO, POLLOUT, 0};
      ::poll(&ready, 1, -1);
    } else if (n < 0 && errno != EINTR) {
      error_ = errno;
    }
    if (n > 0) written += static_cast<size_t>(n);
  }
  text_.clear();
}

bool DecodeOutput::reader_left() const { return error_ == EPIPE; }

PrintingSink::PrintingSink(DecodeFormat format, DecodeOutput& output, const rules::RuleSet* rules)
    : format_(format), output_(output), events_(options_of(rules)), rules_(rules), rule_counts_(rules != nullptr ? rules->rules().size() : 0) {}

void PrintingSink::on_records(const RecordBurst& burst) noexcept {
  if (output_.is_closed()) return;
  const outbound::HeaderPrefix prefix(burst.header);
  size_t most = outbound::kStoreSlackOctets;
  for (const FlowRecord& r : burst.records) {
    most += outbound::Encoder::octets_max(prefix, r);
  }
  if (encoded_.size() < most) encoded_.resize(most);
  const size_t octets = encoder_.encode(prefix, burst.records, burst.arena, encoded_.data());
  print({encoded_.data(), octets});
  output_.flush_if_large();
}

template <class Sample>
void PrintingSink::print_line(outbound::RecordKind kind, const Sample& sample) {
  if (output_.is_closed() || format_ != DecodeFormat::json) return;
  unreadable_ +=
      outbound::append_json_lines(kind, sflow_encoder_.encode(sample), output_.text()).malformed;
  output_.flush_if_large();
}

void PrintingSink::on_counters(const SflowCounters& sample) noexcept {
  print_line(outbound::RecordKind::sflow_counters, sample);
}

void PrintingSink::on_discard(const SflowDiscard& discard) noexcept {
  if (format_ == DecodeFormat::ocsf) return print_discard(discard);
  print_line(outbound::RecordKind::sflow_discard, discard);
}

void PrintingSink::print(std::span<const uint8_t> batch) {
  std::string& text = output_.text();
  if (format_ == DecodeFormat::protobuf) {
    text.append(reinterpret_cast<const char*>(batch.data()), batch.size());
    return;
  }
  if (format_ == DecodeFormat::ocsf) {
    print_events(batch);
    return;
  }
  if (format_ == DecodeFormat::table && !heading_printed_) {
    outbound::FlowTable::append_heading(text);
    heading_printed_ = true;
  }
  const outbound::ReadCounts counts =
      outbound::read_flows(batch, [&](const flowpb::FlowMessage& flow) {
        if (format_ == DecodeFormat::table) {
          outbound::FlowTable::append_row(flow, text);
        } else {
          outbound::append_json_line(flow, text);
        }
      });
  unreadable_ += counts.malformed;
}

void PrintingSink::print_events(std::span<const uint8_t> batch) {
  outbound::BatchWalk walk(batch);
  FlowView flow;
  for (outbound::BatchEntry entry; walk.next(entry);) {
    parse_flow(entry.message, flow) ? print_event(flow, std::nullopt) : static_cast<void>(++unreadable_);
  }
}

void PrintingSink::print_discard(const SflowDiscard& discard) {
  if (output_.is_closed()) return;
  SflowDiscardView view;
  FlowView flow;
  const bool is_read = parse_sflow_discard(sflow_encoder_.encode(discard), view) && parse_flow(view.packet, flow);
  is_read ? print_event(flow, view.reason) : static_cast<void>(++unreadable_);
  output_.flush_if_large();
}

void PrintingSink::print_event(const FlowView& flow, std::optional<uint32_t> discard_reason) {
  transform::EventContext context;
  context.discard_reason = discard_reason;
  if (rules_ != nullptr) {
    rules_->program().run(flow, scratch_, outcome_, rule_counts_);
    if (outcome_.is_dropped) {
      ++(outcome_.is_sampled_out ? sampled_out_ : dropped_);
      return;
    }
    context.decisions = {&outcome_, &rules_->program(), rules_->local_prefixes()};
  }
  const rules::DecisionFile* const decision = rules_ != nullptr ? rules_->decision() : nullptr;
  auto end = transform::DecisionEnd::written;
  const size_t octets = decision != nullptr ? decision_writer_.write(decision->program, flow, context.decisions, event_, end)
                                            : events_.write(flow, context, event_);
  if (octets == 0) {
    ++(end == transform::DecisionEnd::no_value ? undecided_ : unreadable_);
    return;
  }
  output_.text().append(event_.data(), octets);
  output_.text() += '\n';
}

}  // namespace weir::cli
