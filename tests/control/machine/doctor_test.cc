#include "control/machine/doctor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "support/process.h"

namespace weir::control {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

ApplianceConfig config_with(const std::string& text) {
  const bool has_listeners = text.find("listeners:") != std::string::npos;
  const bool has_ports = text.find("ports:") != std::string::npos;
  const std::string listener = std::string(has_listeners ? "" : "listeners: [{name: netflow, port: 2055}]\n") +
                               (has_ports ? "" : "ports: [{kind: socket}]\n");
  auto loaded =
      read_config("control_socket: {path: \"\"}\nstate_dir: \"\"\n" + listener + text, "test.yaml", {});
  EXPECT_TRUE(loaded) << loaded.error().message;
  return loaded ? loaded->config : ApplianceConfig{};
}

/// A machine on which nothing is wrong.
HostFacts good_host() {
  HostFacts facts;
  facts.hugepages = {{0, 2048, 512, 512}, {1, 2048, 512, 512}};
  facts.has_iommu = true;
  facts.has_vfio = true;
  facts.node_of_cpu = {{0, 0}, {1, 0}, {2, 1}, {3, 1}};
  facts.isolated_cpus = {2, 3};
  facts.governors = {{0, "performance"}, {2, "performance"}};
  facts.clocksource = "tsc";
  facts.clock_is_synchronized = true;
  facts.has_fast_encoder = true;
  facts.rmem_max = 64 << 20;
  return facts;
}

PciFacts bound(const std::string&) { return {true, "vfio-pci", 1}; }
PciFacts kernels(const std::string&) { return {true, "ixgbe", 1}; }
PciFacts absent(const std::string&) { return {}; }

constexpr const char* kNic =
    "ports: [{name: p0, device: '0000:01:00.0', queues: 2, lcores: [2, 3]}]\n"
    "eal: {hugepages: true, memory_mb: 1024}\n";

std::string all_of(const std::vector<DoctorFinding>& findings, DoctorGrade at_least) {
  std::string text;
  for (const DoctorFinding& f : findings) {
    if (f.grade >= at_least) text += f.about + ": " + f.found + " -> " + f.advice + "\n";
  }
  return text;
}

/// Findings that leave an operator alone.
std::string without_advice(const std::vector<DoctorFinding>& findings) {
  std::string text;
  for (const DoctorFinding& f : findings) {
    if (f.grade != DoctorGrade::fine && f.advice.empty()) text += f.about + ": " + f.found + "\n";
  }
  return text;
}

TEST(Doctor, FindsNothingOnAMachineThatIsRight) {
  EXPECT_EQ(all_of(diagnose_host(good_host(), config_with(kNic), bound), DoctorGrade::note), "");
  EXPECT_EQ(all_of(diagnose_host(good_host(), config_with("ports: [{kind: socket}]"), absent), DoctorGrade::note), "");
}

TEST(Doctor, SaysWhatIsWrongWithAMachineAndWhatToType) {
  const struct {
    const char* name;
    const char* config;
    PciLookup pci;
    void (*spoil)(HostFacts&);
    DoctorGrade grade;
    const char* about;
    const char* found;
    const char* advice;
  } cases[] = {
      {"few hugepages", kNic, bound, [](HostFacts& f) { f.hugepages = {{0, 2048, 100, 100}}; }, DoctorGrade::wrong,
       "hugepages", "200 MiB reserved", "reserve.sh --size 2M --count 512"},
      {"hugepages that weir has taken", kNic, bound, [](HostFacts& f) { f.hugepages = {{0, 2048, 600, 88}}; },
       DoctorGrade::note, "hugepages", "a running weir", "show.sh"},
      {"no hugepages wanted", "ports: [{name: p0, device: net_null0}]", bound, [](HostFacts&) {}, DoctorGrade::note,
       "hugepages", "eal.hugepages is false", "hugepages: true"},
      {"no such NIC", kNic, absent, [](HostFacts&) {}, DoctorGrade::wrong, "port p0", "no PCI device 0000:01:00.0",
       "show.sh"},
      {"the kernel's NIC", kNic, kernels, [](HostFacts&) {}, DoctorGrade::wrong, "port p0",
       "the kernel's driver ixgbe", "bind.sh --persistent 0000:01:00.0"},
      {"another node", kNic, bound, [](HostFacts& f) { f.node_of_cpu[3] = 0; }, DoctorGrade::warning, "numa",
       "on node 1, CPU 3 of its lcores is not", "node1/cpulist"},
      {"no vfio", kNic, bound, [](HostFacts& f) { f.has_vfio = false; }, DoctorGrade::wrong, "vfio", "not loaded",
       "modprobe vfio-pci"},
      {"no IOMMU", kNic, bound, [](HostFacts& f) { f.has_iommu = false; }, DoctorGrade::wrong, "iommu", "off",
       "intel_iommu=on"},
      {"no IOMMU, and vfio without", kNic, bound,
       [](HostFacts& f) { f.has_iommu = false, f.has_unsafe_vfio = true; }, DoctorGrade::note, "iommu", "all of memory",
       "intel_iommu=on"},
      {"shared CPUs", kNic, bound, [](HostFacts& f) { f.isolated_cpus = {3}; }, DoctorGrade::note, "cpu isolation",
       "CPU 2 is not isolated", "isolcpus=2 "},
      {"more of them", kNic, bound, [](HostFacts& f) { f.isolated_cpus = {}; }, DoctorGrade::note, "cpu isolation",
       "CPU 2, 3 are not isolated", "isolcpus=2,3 nohz_full=2,3 in"},
      {"slow CPUs", kNic, bound, [](HostFacts& f) { f.governors[2] = "powersave"; }, DoctorGrade::note, "governor",
       "CPU 2 runs under powersave", "cpupower"},
      {"old CPU", kNic, bound, [](HostFacts& f) { f.has_fast_encoder = false; }, DoctorGrade::note, "encoder",
       "portable", "avx512_vbmi2"},
      {"a clock that nobody knows", kNic, bound, [](HostFacts& f) { f.clock_is_synchronized.reset(); }, DoctorGrade::note,
       "clock", "cannot be asked", "timedatectl"},
      {"wild clock", kNic, bound, [](HostFacts& f) { f.clock_is_synchronized = false; }, DoctorGrade::warning, "clock",
       "nothing keeps", "chrony"},
      {"slow clock", kNic, bound, [](HostFacts& f) { f.clocksource = "hpet"; }, DoctorGrade::warning, "clocksource",
       "hpet", "tsc"},
      {"small buffers", "ports: [{kind: socket}]\nlisteners: [{name: n, port: 2055, buffer_size: 8MiB}]", bound,
       [](HostFacts& f) { f.rmem_max = 212992; }, DoctorGrade::warning, "socket buffers", "212992 octets",
       "net.core.rmem_max = 8388608"},
      {"drops", "ports: [{kind: socket}]", bound, [](HostFacts& f) { f.udp_buffer_errors = 7; }, DoctorGrade::note,
       "kernel drops", "7 UDP datagrams", "weirctl ports"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    HostFacts facts = good_host();
    c.spoil(facts);
    std::vector<DoctorFinding> troubles;
    for (const DoctorFinding& f : diagnose_host(facts, config_with(c.config), c.pci)) {
      if (f.grade != DoctorGrade::fine) troubles.push_back(f);
    }
    ASSERT_EQ(troubles.size(), 1u) << all_of(troubles, DoctorGrade::note);
    EXPECT_EQ(name_of(troubles[0].grade), name_of(c.grade));
    EXPECT_EQ(troubles[0].about, c.about);
    EXPECT_THAT(troubles[0].found, HasSubstr(c.found));
    EXPECT_THAT(troubles[0].advice, HasSubstr(c.advice));
    EXPECT_EQ(without_advice(troubles), "");
  }
}

json good_stream() {
  return {{"name", "events"},         {"subjects", {"flows.>"}},
          {"storage", "file"},        {"retention", "limits"},
          {"discard", "old"},         {"max_bytes", 10'000'000'000},
          {"max_age", 0},             {"max_msg_size", -1},
          {"num_replicas", 3},        {"duplicate_window", 120'000'000'000}};
}

TEST(Doctor, JudgesAStreamBySettingsThatHurtLater) {
  const ApplianceConfig config = config_with("");
  EXPECT_EQ(all_of(diagnose_stream(good_stream(), 1 << 20, config), DoctorGrade::note), "");
  const struct {
    const char* key;
    json value;
    const char* found;
  } cases[] = {
      {"subjects", {"other.>"}, "does not carry flows.raw.netflow"},
      {"storage", "memory", "kept in memory"},
      {"max_bytes", -1, "has no bound"},
      {"discard", "new", "refuses new messages"},
      {"duplicate_window", 10'000'000'000, "for 10 s only"},
      {"max_msg_size", 20'000, "sent in parts"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.key);
    json stream = good_stream();
    stream[c.key] = c.value;
    const auto findings = diagnose_stream(stream, 1 << 20, config);
    EXPECT_THAT(all_of(findings, DoctorGrade::note), HasSubstr(c.found));
    EXPECT_EQ(without_advice(findings), "");
  }
  EXPECT_THAT(all_of(diagnose_stream(good_stream(), 1000, config), DoctorGrade::note), HasSubstr("sent in parts"));
}

TEST(Doctor, SaysThatNothingAnswersForTheAppliancesAddress) {
  const auto found = [](const json& exception) {
    const json port = {{"name", "p0"},       {"trouble", ""}, {"note", ""},
                       {"missed", nullptr}, {"packets", 7},  {"exception", exception}};
    return all_of(diagnose_appliance({{"ready", true}, {"version", "1"}, {"ports", {port}}, {"cores", json::array()}, {"publishers", json::array()}}),
                  DoctorGrade::note);
  };
  EXPECT_EQ(found(nullptr), "");
  EXPECT_EQ(found({{"interface", "weir0"}, {"trouble", ""}, {"dropped", 0}}), "");
  EXPECT_EQ(found({{"interface", "weir0"}, {"trouble", "interface weir0 is down"}, {"dropped", 0}}),
            "port p0: interface weir0 is down -> nothing answers for the appliance's address on that wire: ip link show weir0\n");
  EXPECT_THAT(found({{"interface", "weir0"}, {"trouble", ""}, {"dropped", 38770}}),
              HasSubstr("port p0: interface weir0: 38770 frames of the host's were dropped on their way to the wire -> "
                        "exception.to_wire_per_second higher"));
}

TEST(Doctor, SaysThatTheClockWasSetAndWhetherTicksAreTrusted) {
  const auto found = [](uint64_t steps, int64_t last_step_ns, uint64_t losses, const char* why, uint64_t seconds_ago = 60,
                        DoctorGrade least = DoctorGrade::note) {
    const json clock = {{"steps", steps}, {"last_step_ns", last_step_ns}, {"losses", losses}, {"why", why},
                        {"last_step_ago_ns", steps == 0 ? json() : json(seconds_ago * kNsPerSec)}};
    return all_of(diagnose_appliance({{"ready", true}, {"version", "1"}, {"clock", clock}, {"ports", json::array()},
                                      {"cores", json::array()}, {"publishers", json::array()}}),
                  least);
  };
  EXPECT_EQ(found(0, 0, 0, ""), "");
  EXPECT_EQ(found(0, 0, 0, "measuring"), "");
  EXPECT_THAT(found(1, -3'600'000'000'000, 0, ""), HasSubstr("clock: the wall clock was set 1 time while weir ran, last by -3600.000 s"));
  EXPECT_THAT(found(1, 5'000'000'000, 0, "", 3599, DoctorGrade::warning), HasSubstr("last by +5.000 s"));
  EXPECT_EQ(found(1, 5'000'000'000, 0, "", 3600, DoctorGrade::warning), "") << "NTP at the start is no trouble any more";
  EXPECT_THAT(found(0, 0, 0, "not_invariant"), HasSubstr("time stamp counter: this CPU does not promise"));
  EXPECT_THAT(found(0, 0, 2, "disagrees"), HasSubstr("disagreed with the kernel's clock 2 times ->"));
  EXPECT_THAT(found(0, 0, 8, "given_up"), HasSubstr("8 times, and is not used any more"));
}

TEST(Doctor, SaysWhoseTheProcessIsAndWhatItKeeps) {
  const auto found = [](uint32_t uid, const json& kept, const json& threads) {
    const json rights = {{"user", uid == 0 ? "root" : "weir"}, {"uid", uid}, {"kept", kept}, {"threads_with_more", threads}};
    return all_of(diagnose_appliance({{"ready", true}, {"version", "1"}, {"rights", rights}, {"ports", json::array()},
                                      {"cores", json::array()}, {"publishers", json::array()}}),
                  DoctorGrade::fine);
  };
  const json none = json::array();
  EXPECT_THAT(found(0, none, none), HasSubstr("rights: the running weir is root for good -> user: weir"));
  EXPECT_THAT(found(998, none, none), HasSubstr("rights: weir runs as weir without capabilities"));
  EXPECT_THAT(found(998, {{{"capability", "CAP_NET_ADMIN"}, {"why", "port w: promiscuous"}}}, none),
              HasSubstr("its control thread keeps CAP_NET_ADMIN (port w: promiscuous)"));
  EXPECT_THAT(found(998, none, {"rdk:main"}), HasSubstr("threads that have capabilities: rdk:main"));
}

TEST(Doctor, NamesAWorkerThatIsTooFarBehind) {
  const auto found = [](const json& worker) {
    const json core = {{"serves", "p0 worker 1"}, {"worker", worker}};
    return all_of(diagnose_appliance({{"ready", true}, {"version", "1"}, {"ports", json::array()}, {"cores", {core}},
                                      {"publishers", json::array()}}),
                  DoctorGrade::warning);
  };
  EXPECT_EQ(found(nullptr), "");
  EXPECT_EQ(found({{"handed", 100}, {"full", 0}}), "");
  EXPECT_THAT(found({{"handed", 100}, {"full", 20}}), HasSubstr("p0 worker 1: too far behind for 20 of 120 frames -> more workers"));
}

TEST(Doctor, SaysWhatToTypeForWhateverARunningApplianceComplainsOf) {
  const auto found_of_port = [](const char* trouble, const char* note, uint64_t missed) {
    const json port = {{"name", "p0"},     {"trouble", trouble}, {"note", note},
                       {"missed", missed}, {"packets", 7},       {"exception", {{"interface", "weir0"}, {"trouble", "is down"}, {"dropped", 0}}}};
    const json publisher = {{"name", "jetstream"},
                            {"state", "running"},
                            {"last_error", "no servers"},
                            {"remark", "connection 2 of 4: too many"},
                            {"records", {{"failed", 1}, {"dropped", 2}, {"acknowledged", 3}}}};
    const json core = {{"serves", "p0 worker 1"}, {"worker", {{"handed", 100}, {"full", 20}}}};
    return diagnose_appliance({{"ready", false},
                               {"not_ready_because", "port p0"},
                               {"version", "1"},
                               {"ports", {port}},
                               {"cores", {core}},
                               {"publishers", {publisher}}});
  };
  const struct {
    const char* trouble;
    const char* note;
    const char* advice;
  } cases[] = {
      {"interface eth1 is down", "", "ip link set eth1 up"},
      {"interface eth1 has no carrier", "", "ethtool eth1"},
      {"interface eth1 is gone", "", "ip link show eth1"},
      {"interface eth1 was made anew: restart to receive from it", "", "systemctl restart weir"},
      {"interface eth1 has 2 receive queues now, and had 1 when Weir began: what comes on the others is not received", "",
       "the number that it had (ethtool -L), or a configuration that serves them all, then systemctl restart weir (docs/PORTS.md#net_af_xdp)"},
      {"something else", "", "weirctl ports"},
      {"", "zero copy, not verified on hardware; frames longer than 9 octets count as missed", "force_copy=1"},
      {"", "copies frames: no zero copy; frames longer than 9 octets count as missed", "by vfio-pci"},
      {"", "no RSS on addresses: one exporter's datagrams may meet several cores", "workers: N"},
      {"", "receive buffer of 1 octets, 2 asked: raise net.core.rmem_max", "sysctl -w net.core.rmem_max"},
      {"", "the driver does not count what it drops", "ethtool -S"},
      {"", "512 receive descriptors", "docs/PORTS.md"},
      {"", "1024 receive descriptors, and 100 Gbit/s want 4096: memory_mb, or mbufs, holds no more", "eal.memory_mb higher"},
      {"", "", "connection 2 of 4: too many"},
      {"", "", "nats_connections"},
  };
  for (const auto& c : cases) {
    const auto findings = found_of_port(c.trouble, c.note, 5);
    EXPECT_EQ(without_advice(findings), "");
    EXPECT_THAT(all_of(findings, DoctorGrade::note), HasSubstr(c.advice));
  }
}

json rows_of(const LoadedConfig& loaded) {
  json rows = json::array();
  for (const auto& value : appliance_schema().effective(&loaded.config, loaded.origins)) {
    rows.push_back({{"key", value.path}, {"value", value.value}, {"from", value.origin.to_string()}});
  }
  return rows;
}

TEST(Doctor, KnowsThatTheRunningApplianceGoesByAnotherBroker) {
  const auto read = [](const char* text, std::vector<const char*> environment) {
    auto loaded = read_config(std::string("listeners: [{name: n, listen_addr: '127.0.0.1:2055'}]\n") + text, "test.yaml", environment);
    EXPECT_TRUE(loaded) << loaded.error().message;
    return loaded ? *loaded : LoadedConfig{};
  };
  const LoadedConfig here = read("nats_url: nats://a:1\n", {});
  EXPECT_TRUE(compare_broker(rows_of(here), here).keys.empty());

  const auto elsewhere = compare_broker(rows_of(read("nats_url: nats://a:1\n", {"NATS_URL=nats://b:2"})), here);
  EXPECT_EQ(elsewhere.keys, std::vector<std::string>{"nats_url"});
  EXPECT_THAT(elsewhere.from, HasSubstr("NATS_URL"));
  EXPECT_EQ(elsewhere.nats_url, "nats://b:2");

  const auto secret = compare_broker(rows_of(read("nats_url: nats://u:p@b:2\n", {})), here);
  EXPECT_EQ(secret.keys, std::vector<std::string>{"nats_url"});
  EXPECT_EQ(secret.nats_url, "") << "it cannot be asked without";

  const auto user = compare_broker(rows_of(read("nats_url: nats://b:2\n", {"WEIR_NATS_USER=u", "WEIR_NATS_PASSWORD=p"})), here);
  EXPECT_EQ(user.keys.size(), 3u);
  EXPECT_EQ(user.nats_url, "");

  EXPECT_TRUE(compare_broker(json::array(), here).keys.empty()) << "an older weir says nothing of it";
}

TEST(Doctor, SurvivesAnswersThatAreNotAsTheyShouldBe) {
  for (const json& stream : {json::object(), json{{"subjects", 7}}, json{{"subjects", {1, 2}}}}) {
    EXPECT_FALSE(diagnose_stream(stream, 0, config_with("")).empty());
  }
}

TEST(Doctor, SaysWhereNobodyAnswers) {
  const auto findings = ask_broker(config_with("nats_url: nats://127.0.0.1:1\n"));
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].grade, DoctorGrade::wrong);
  EXPECT_THAT(findings[0].found, HasSubstr("127.0.0.1:1"));
  EXPECT_THAT(findings[0].advice, HasSubstr("nc -vz 127.0.0.1 1;"));
  EXPECT_THAT(findings[0].advice, HasSubstr("nats --server 127.0.0.1:1 account info"));
  EXPECT_THAT(ask_broker(config_with("nats_url: 'nats://u:geheim@[::1]:1'\n"))[0].advice,
              AllOf(HasSubstr("nc -vz ::1 1;"), HasSubstr("--server [::1]:1 "), Not(HasSubstr("geheim"))));
  EXPECT_TRUE(ask_broker(config_with("publishers: [{kind: stdout}]\n")).empty());
}

TEST(HostFacts, AreReadFromTheFilesOfTheKernel) {
  const test::TemporaryFolder root;
  const auto write = [&](const std::string& name, const std::string& text) {
    const std::filesystem::path file = std::filesystem::path(root / "") / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  };
  write("sys/devices/system/node/node0/cpulist", "0-1\n");
  write("sys/devices/system/node/node1/cpulist", "2,3\n");
  write("sys/devices/system/node/node1/hugepages/hugepages-1048576kB/nr_hugepages", "4\n");
  write("sys/devices/system/node/node1/hugepages/hugepages-1048576kB/free_hugepages", "3\n");
  write("sys/devices/system/node/possible", "0-1\n");
  write("sys/class/iommu/dmar0/x", "");
  write("sys/module/vfio_pci/x", "");
  write("sys/devices/system/cpu/isolated", "2-3\n");
  write("sys/devices/system/cpu/cpu2/cpufreq/scaling_governor", "powersave\n");
  write("sys/devices/system/cpu/cpufreq/x", "");
  write("sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n");
  write("proc/cpuinfo", "flags : avx512f avx512_vbmi2\n");
  write("proc/sys/net/core/rmem_max", "212992\n");
  write("proc/net/snmp", "Ip: Forwarding\nIp: 2\nUdp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors\nUdp: 9 8 7 6 5\n");
  write("sys/bus/pci/devices/0000:01:00.0/numa_node", "1\n");

  const HostFacts facts = HostFacts::look(std::filesystem::path(root / ""));
  EXPECT_EQ(facts.node_of_cpu, (std::map<unsigned, unsigned>{{0, 0}, {1, 0}, {2, 1}, {3, 1}}));
  ASSERT_EQ(facts.hugepages.size(), 1u);
  EXPECT_EQ(facts.hugepages[0].node, 1u);
  EXPECT_EQ(facts.hugepages[0].page_kib, 1048576u);
  EXPECT_EQ(facts.hugepages[0].total, 4u);
  EXPECT_EQ(facts.hugepages[0].free, 3u);
  EXPECT_TRUE(facts.has_iommu && facts.has_vfio && facts.has_fast_encoder);
  EXPECT_FALSE(facts.has_unsafe_vfio);
  EXPECT_EQ(facts.isolated_cpus, (std::vector<unsigned>{2, 3}));
  EXPECT_EQ(facts.governors, (std::map<unsigned, std::string>{{2, "powersave"}}));
  EXPECT_EQ(facts.rmem_max, 212992u);
  EXPECT_EQ(facts.udp_buffer_errors, 5u);
  EXPECT_EQ(pci_facts("01:00.0", std::filesystem::path(root / "")).node, 1u);
  EXPECT_FALSE(pci_facts("0000:02:00.0", std::filesystem::path(root / "")).is_there);

  const HostFacts nothing = HostFacts::look(std::filesystem::path(root / "") / "nowhere");
  EXPECT_TRUE(nothing.hugepages.empty() && nothing.node_of_cpu.empty() && nothing.rmem_max == 0);
}

TEST(HostFacts, ListsOfCpusAreReadWithinBounds) {
  EXPECT_EQ(cpus_of_list("0-2,8"), (std::vector<unsigned>{0, 1, 2, 8}));
  EXPECT_TRUE(cpus_of_list("").empty());
  EXPECT_TRUE(cpus_of_list("x,-,3-,-4,0-99999999999").empty());
}

}  // namespace
}  // namespace weir::control
