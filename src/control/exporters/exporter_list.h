// exporter_list.h — The operator's own list of exporters and their interfaces, read from a file of comma-separated
// values: names, sites, speeds, and where the network ends.
//
// Spec:     RFC 4180 (quoting, records), with a header line that is required, lines of comment (#), and blank lines.
// Runs on:  read on any thread that may wait for a disk; a list is constant once it is read.
// Bounds:   kExporterListOctetsMax, kExporterListRowsMax, kExporterListFieldOctetsMax, and of one exporter
//           kListedInterfacesMax and kListedOctetsMax, so that its table fits a message.
// Failure:  an Error with a line a mistake, file:line:column, of the first kMistakesToldMax; nothing of the file is
//           taken then.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_stamp.h"
#include "base/ip_address.h"
#include "base/named_enum.h"
#include "base/result.h"
#include "decode/exporter_labels.h"

namespace weir::control {

inline constexpr size_t kExporterListOctetsMax = 16u << 20;
inline constexpr size_t kExporterListRowsMax = 200'000;  // of some 80 octets, as long ones are
inline constexpr size_t kExporterListFieldOctetsMax = 128;
inline constexpr size_t kListedInterfacesMax = 4096;   // as many as options data may name, by default
inline constexpr size_t kListedOctetsMax = 256u << 10;  // with 512 KiB of options data below NATS' usual 1 MiB
inline constexpr size_t kMistakesToldMax = 20;
inline constexpr uint64_t kInterfaceSpeedMax = 1'000'000'000'000'000;  // bits a second

/// external: to networks that are not the operator's own; what enters there enters the network.
#define WEIR_INTERFACE_BOUNDARIES(X) X(unknown) X(internal) X(external)
WEIR_NAMED_ENUM(InterfaceBoundary, uint8_t, WEIR_INTERFACE_BOUNDARIES)

struct ListedInterface {
  uint32_t index = 0;
  std::string name;        // empty: options data may name it
  uint64_t speed_bps = 0;  // 0: not said
  InterfaceBoundary boundary = InterfaceBoundary::unknown;
  friend bool operator==(const ListedInterface&, const ListedInterface&) = default;
};

struct ListedExporter {
  IpAddress address;
  std::string name;
  std::string site;
  std::vector<ListedInterface> interfaces;  // by index
  friend bool operator==(const ListedExporter&, const ListedExporter&) = default;
};

class ExporterList {
 public:
  /// `name` stands for the file in messages.
  static Result<ExporterList> parse(std::string_view text, const std::string& name);
  static Result<std::shared_ptr<const ExporterList>> read(const std::string& path);

  const std::vector<ListedExporter>& exporters() const noexcept { return exporters_; }  // by address
  size_t interfaces() const noexcept { return interfaces_; }
  /// Null where the list does not have it.
  const ListedExporter* find(const IpAddress& address) const noexcept;
  /// As the file was when it was read.
  const FileStamp& stamp() const noexcept { return stamp_; }

  /// What records carry of it.
  const std::shared_ptr<const decode::ExporterLabels>& labels() const noexcept { return labels_; }

  bool says_the_same(const ExporterList& other) const { return exporters_ == other.exporters_; }

 private:
  std::vector<ListedExporter> exporters_;
  size_t interfaces_ = 0;
  std::shared_ptr<const decode::ExporterLabels> labels_;
  FileStamp stamp_;
};

/// Null where it does not have it.
const ListedInterface* find_interface(const ListedExporter& exporter, uint32_t index) noexcept;

/// Either may be absent, which is a list of nobody.
bool say_the_same(const std::shared_ptr<const ExporterList>& a, const std::shared_ptr<const ExporterList>& b);

}  // namespace weir::control
