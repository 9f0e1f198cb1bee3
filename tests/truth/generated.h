// generated.h — Exporters whose flows we know, beside the capture that `weir generate` wrote of them.
#pragma once

#include <string>
#include <vector>

#include "lab/exporter_model.h"

namespace weir::truth {

/// What `weir generate` is told, and what that means.
struct GeneratedKind {
  const char* protocol_name;
  const char* with;  // "": nothing
  lab::ExporterModelConfig config;

  std::string name() const;
  bool is_sflow() const { return config.protocol == lab::ExportProtocol::sflow; }
};

const std::vector<GeneratedKind>& generated_kinds();

inline constexpr uint64_t kGeneratedStartS = 1'767'225'600;
inline constexpr uint32_t kGeneratedDatagrams = 60;

struct GeneratedDatagram {
  uint64_t time_ns = 0;
  lab::ExportDatagram content;
  std::vector<lab::ExportedFlow> flows;  // in the order of its records
};

/// kGeneratedDatagrams with flows, 1000 datagrams a second.
std::vector<GeneratedDatagram> model_of(const GeneratedKind& kind);

/// The program's arguments for the same.
std::vector<std::string> arguments_of(const GeneratedKind& kind);

}  // namespace weir::truth
