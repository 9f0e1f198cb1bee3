// The manifests in deploy/ say what installations rely on, and their configurations are right.
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <set>

#include "support/program.h"

namespace weir::test {
namespace {

const std::string kDeploy = std::string(std::getenv("WEIR_SOURCE_ROOT")) + "/deploy/";
const std::string kWeir = std::string(std::getenv("WEIR_BUILD_ROOT")) + "/weir";

/// All documents of all manifests, by kind and name.
std::map<std::string, YAML::Node> objects() {
  std::map<std::string, YAML::Node> found;
  for (const auto& file : std::filesystem::directory_iterator(kDeploy + "kubernetes")) {
    for (const YAML::Node& node : YAML::LoadAllFromFile(file.path())) {
      EXPECT_TRUE(node["apiVersion"].IsDefined()) << file.path();
      // Deployment and DaemonSet bear one name, being each instead of the other.
      const std::string key = node["kind"].as<std::string>() + "/" + node["metadata"]["name"].as<std::string>();
      EXPECT_TRUE(found.emplace(key, node).second) << key << " twice";
    }
  }
  return found;
}

std::set<std::string> words(const YAML::Node& list) {
  std::set<std::string> found;
  for (const YAML::Node& word : list) found.insert(word.as<std::string>());
  return found;
}

void expect_valid_configuration(const std::string& text, std::vector<std::string> environment) {
  const TemporaryFolder folder;
  write_file(folder / "weir.yaml", text);
  std::vector<std::string> command{"env", "WEIR_STATE_DIR=", "WEIR_CONTROL_SOCKET_PATH=" + (folder / "s")};
  command.insert(command.end(), environment.begin(), environment.end());
  command.insert(command.end(), {kWeir, "check", "-c", folder / "weir.yaml"});
  const Outcome outcome = run_program(command);
  EXPECT_EQ(outcome.status, 0) << outcome.err << text;
}

TEST(Kubernetes, ServiceIsWhatExportersAreSentTo) {
  const YAML::Node spec = objects().at("Service/weir")["spec"];
  EXPECT_EQ(spec["type"].as<std::string>(), "LoadBalancer");
  EXPECT_EQ(spec["externalTrafficPolicy"].as<std::string>(), "Local");
  EXPECT_EQ(spec["sessionAffinity"].as<std::string>(), "ClientIP");
  std::map<std::string, std::string> ports;
  for (const YAML::Node& port : spec["ports"])
    ports[port["name"].as<std::string>()] = port["port"].as<std::string>() + "/" + port["protocol"].as<std::string>();
  EXPECT_EQ(ports, (std::map<std::string, std::string>{{"netflow", "2055/UDP"}, {"sflow", "6343/UDP"}}));
}

TEST(Kubernetes, EveryContainerIsBoundedAndProbed) {
  const auto all = objects();
  for (const std::string key : {"Deployment/weir", "DaemonSet/weir", "Deployment/weir-sriov", "StatefulSet/nats"}) {
    SCOPED_TRACE(key);
    const YAML::Node spec = all.at(key)["spec"];
    const YAML::Node pod = spec["template"]["spec"];
    const auto labels = spec["template"]["metadata"]["labels"];
    for (const auto& label : spec["selector"]["matchLabels"])
      EXPECT_EQ(labels[label.first.as<std::string>()].as<std::string>(), label.second.as<std::string>());
    std::set<std::string> volumes;
    for (const YAML::Node& volume : pod["volumes"]) volumes.insert(volume["name"].as<std::string>());
    for (const YAML::Node& claim : spec["volumeClaimTemplates"]) volumes.insert(claim["metadata"]["name"].as<std::string>());
    ASSERT_EQ(pod["containers"].size(), 1u);
    const YAML::Node container = pod["containers"][0];
    EXPECT_TRUE(container["resources"]["requests"]["cpu"].IsDefined());
    EXPECT_TRUE(container["resources"]["limits"]["memory"].IsDefined());
    EXPECT_TRUE(container["securityContext"]["readOnlyRootFilesystem"].as<bool>());
    EXPECT_FALSE(container["securityContext"]["allowPrivilegeEscalation"].as<bool>());
    EXPECT_EQ(words(container["securityContext"]["capabilities"]["drop"]), std::set<std::string>{"ALL"});
    for (const YAML::Node& mount : container["volumeMounts"])
      EXPECT_TRUE(volumes.contains(mount["name"].as<std::string>())) << mount["name"];
    std::set<std::string> ports;
    for (const YAML::Node& port : container["ports"]) ports.insert(port["name"].as<std::string>());
    for (const char* probe : {"readinessProbe", "livenessProbe"}) {
      const YAML::Node get = container[probe]["httpGet"];
      ASSERT_TRUE(get.IsDefined()) << probe;
      EXPECT_TRUE(ports.contains(get["port"].as<std::string>())) << probe;
    }
    if (key == "StatefulSet/nats") continue;
    EXPECT_EQ(container["readinessProbe"]["httpGet"]["path"].as<std::string>(), "/readyz");
    EXPECT_EQ(container["livenessProbe"]["httpGet"]["path"].as<std::string>(), "/healthz");
    EXPECT_EQ(container["env"][0]["name"].as<std::string>(), "NATS_URL");
    EXPECT_EQ(container["env"][0]["value"].as<std::string>(), "nats://nats:4222");
    if (key == "Deployment/weir-sriov") continue;
    EXPECT_TRUE(pod["securityContext"]["runAsNonRoot"].as<bool>());
    EXPECT_EQ(pod["securityContext"]["runAsUser"].as<int>(), 10001);
    EXPECT_TRUE(ports.contains("netflow") && ports.contains("sflow"));
  }
}

TEST(Kubernetes, AVirtualFunctionComesWithHugepagesAndWholeCpus) {
  const YAML::Node pod = objects().at("Deployment/weir-sriov")["spec"]["template"]["spec"];
  const YAML::Node resources = pod["containers"][0]["resources"];
  for (const char* what : {"cpu", "memory", "hugepages-2Mi", "weir.example/vf"})
    EXPECT_EQ(resources["requests"][what].as<std::string>(), resources["limits"][what].as<std::string>()) << what;
  EXPECT_NO_THROW((void)resources["limits"]["cpu"].as<int>());
  // What the device plugin is told to call it, and the variable in which it names the VF.
  const YAML::Node plugin = YAML::Load(objects().at("ConfigMap/sriovdp-config")["data"]["config.json"].as<std::string>());
  EXPECT_EQ(plugin["resourceList"][0]["resourcePrefix"].as<std::string>() + "/" +
                plugin["resourceList"][0]["resourceName"].as<std::string>(),
            "weir.example/vf");
  EXPECT_NE(pod["containers"][0]["args"][0].as<std::string>().find("$PCIDEVICE_WEIR_EXAMPLE_VF/"), std::string::npos);
}

TEST(Kubernetes, ConfigurationIsValid) {
  const std::string text = objects().at("ConfigMap/weir")["data"]["weir.yaml"].as<std::string>();
  EXPECT_NE(text.find("metrics_addr: 0.0.0.0:50046"), std::string::npos) << "where the probes look";
  expect_valid_configuration(text, {"NATS_URL=nats://nats:4222"});
  // The VF's stands for a device that no test machine has; but for that it is valid.
  std::string vf = objects().at("ConfigMap/weir-sriov")["data"]["weir.yaml"].as<std::string>();
  const std::string hugepages = "hugepages: true, memory_mb: 512", address = "VF_ADDRESS";
  ASSERT_NE(vf.find(hugepages), std::string::npos);
  vf.replace(vf.find(hugepages), hugepages.size(), "memory_mb: 64");
  vf.replace(vf.find(address), address.size(), "net_null0");
  expect_valid_configuration(vf, {"NATS_URL=nats://nats:4222"});
}

TEST(Compose, HasTheCollectorItsBrokerAndTheProfile) {
  const YAML::Node file = YAML::LoadFile(kDeploy + "compose.yaml");
  const YAML::Node common = file["x-weir"];
  EXPECT_EQ(words(common["ports"]), (std::set<std::string>{"2055:2055/udp", "6343:6343/udp"}));
  EXPECT_EQ(words(common["cap_drop"]), std::set<std::string>{"ALL"});
  const YAML::Node weir = file["services"]["weir"];
  EXPECT_EQ(weir["environment"]["NATS_URL"].as<std::string>(), "nats://nats:4222");
  EXPECT_TRUE(file["services"]["nats"].IsDefined());
  const YAML::Node collector = file["services"]["collector"];
  EXPECT_EQ(words(collector["profiles"]), std::set<std::string>{"collector"});
  EXPECT_EQ(collector["logging"]["driver"].as<std::string>(), "json-file");
  EXPECT_EQ(collector["logging"]["options"]["max-size"].as<std::string>(), "10m");
  EXPECT_EQ(collector["logging"]["options"]["max-file"].as<std::string>(), "3");
  for (const YAML::Node& service : {weir, collector}) EXPECT_TRUE(service["<<"].IsDefined());
  // Its command is one that the program takes.
  std::vector<std::string> command{kWeir, "check"};
  for (size_t i = 1; i < collector["command"].size(); ++i) command.push_back(collector["command"][i].as<std::string>());
  const Outcome outcome = run_program(command);
  EXPECT_EQ(outcome.status, 0) << outcome.err;
}

TEST(LibvirtGuest, IsWellFormed) {
  const Outcome outcome = run_program({"sh", "-c", "command -v xmllint >/dev/null || exit 77; xmllint --noout " + kDeploy + "sriov-vm/weir.xml"});
  if (outcome.status == 77) GTEST_SKIP() << "xmllint is not installed";
  EXPECT_EQ(outcome.status, 0) << outcome.err;
}

}  // namespace
}  // namespace weir::test
