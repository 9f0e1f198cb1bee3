// openapi_test.cc — docs/openapi.yaml and the routes of the control socket say the same: paths, methods, and every
// key of every answer with its type.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <cstdlib>
#include <set>

#include "control/http/capture_routes.h"
#include "control/http/exporter_detail_routes.h"
#include "control/http/live_routes.h"
#include "control/http/operation_routes.h"
#include "control/http/routes.h"
#include "control/http/rule_routes.h"
#include "full_view.h"
#include "support/turning_plane.h"

namespace weir::control {
namespace {

using nlohmann::json;
using service::HttpRequest;
using service::HttpResponse;

class OpenApiTest : public ::testing::Test {
 protected:
  OpenApiTest() : reloader_(ApplianceConfig{}) {
    const char* root = std::getenv("WEIR_SOURCE_ROOT");
    document_ = YAML::LoadFile(std::string(root != nullptr ? root : ".") + "/docs/openapi.yaml");
    view_.publish(std::make_shared<const ApplianceView>(full_view()));
    effective_.publish(std::make_shared<const EffectiveConfig>(EffectiveConfig{{"log.level", "info", {}}}));
    routes_ = appliance_routes(view_, 0, [] { return uint64_t{0}; });
    for (auto& route : operation_routes(effective_, reloader_)) routes_.push_back(std::move(route));
    listeners_.publish(std::make_shared<const ListenerNames>());
    // Its clock runs so fast that no core is waited for.
    for (auto& route : live_routes(live_flows_, listeners_, [this] { return now_ns_ += 10 * kNsPerSec; })) {
      routes_.push_back(std::move(route));
    }
    for (auto& route : capture_routes(captures_, quarantine_, view_)) routes_.push_back(std::move(route));
    captures_.set_ground({1, {"netflow"}});
    routes_.push_back(exporter_detail_route(view_, details_, [this] { return now_ns_ += 10 * kNsPerSec; }));
    routes_.push_back(rules_route(view_));
    fill_quarantine();
  }

  void fill_quarantine() {
    const RoleScope role(control_thread);
    plane_.receive(0, std::vector<uint8_t>{1, 2}, 1);
    for (uint64_t i = 1; i < 100; ++i) {
      quarantine_.step(plane_, i * kNsPerSec);
      plane_.turn();
    }
  }

  YAML::Node operation_of(const service::HttpRoute& route) const {
    std::string method = route.method;
    for (char& c : method) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return document_["paths"][route.path][method];
  }
  YAML::Node resolved(YAML::Node schema) const {
    for (int i = 0; i < 10 && schema["$ref"]; ++i) {
      const std::string name = schema["$ref"].as<std::string>();
      const YAML::Node found = document_["components"]["schemas"][name.substr(name.rfind('/') + 1)];
      if (!found) ADD_FAILURE() << name << " is nowhere";
      schema.reset(found);
    }
    return schema;
  }
  /// Those of all parts of an allOf.
  void collect(const YAML::Node& unresolved, std::map<std::string, YAML::Node>& properties) const {
    const YAML::Node schema = resolved(unresolved);
    for (const auto& part : schema["allOf"]) collect(part, properties);
    for (const auto& property : schema["properties"]) properties[property.first.as<std::string>()] = property.second;
  }

  void compare(const json& value, const YAML::Node& unresolved, const std::string& at) {
    const YAML::Node schema = resolved(unresolved);
    if (value.is_null()) {
      EXPECT_TRUE(schema["nullable"] && schema["nullable"].as<bool>()) << at << " is null";
      return;
    }
    if (schema["allOf"] || (schema["type"] && schema["type"].as<std::string>() == "object")) {
      ASSERT_TRUE(value.is_object()) << at << ": " << value;
      if (schema["additionalProperties"]) {
        for (const auto& [key, one] : value.items()) compare(one, schema["additionalProperties"], at + "." + key);
        return;
      }
      std::map<std::string, YAML::Node> properties;
      collect(schema, properties);
      for (const auto& [key, one] : value.items()) {
        const auto property = properties.find(key);
        if (property == properties.end()) {
          ADD_FAILURE() << at << "." << key << " is not in docs/openapi.yaml";
        } else {
          compare(one, property->second, at + "." + key);
        }
      }
      for (const auto& [key, property] : properties) {
        if (key == "because") continue;  // of those that are not well
        EXPECT_TRUE(value.contains(key)) << at << "." << key << " is only in docs/openapi.yaml";
      }
      return;
    }
    ASSERT_TRUE(schema["type"]) << at << " has no type";
    const std::string type = schema["type"].as<std::string>();
    if (type == "array") {
      ASSERT_TRUE(value.is_array()) << at;
      for (const json& one : value) compare(one, schema["items"], at + "[]");
    } else {
      const bool fits = (type == "integer" && value.is_number_integer()) || (type == "number" && value.is_number()) ||
                        (type == "boolean" && value.is_boolean()) || (type == "string" && value.is_string());
      EXPECT_TRUE(fits) << at << " is " << value << ", not of type " << type;
    }
    if (schema["enum"]) {
      bool is_one = false;
      for (const auto& word : schema["enum"]) is_one |= value == word.as<std::string>();
      EXPECT_TRUE(is_one) << at << ": " << value;
    }
  }

  YAML::Node document_;
  Snapshot<ApplianceView> view_;
  Snapshot<EffectiveConfig> effective_;
  Reloader reloader_;
  LiveFlows live_flows_;
  ExporterDetails details_;
  Snapshot<ListenerNames> listeners_;
  uint64_t now_ns_ = 0;
  CaptureDesk captures_;
  QuarantineDesk quarantine_;
  TurningPlane plane_{1};
  std::vector<service::HttpRoute> routes_;
};

TEST_F(OpenApiTest, HasEveryRouteAndNoOther) {
  std::set<std::string> documented, served;
  for (const auto& path : document_["paths"]) {
    for (const auto& operation : path.second) {
      std::string method = operation.first.as<std::string>();
      for (char& c : method) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
      documented.insert(method + " " + path.first.as<std::string>());
    }
  }
  for (const auto& route : routes_) served.insert(route.method + " " + route.path);
  EXPECT_EQ(documented, served);
}

TEST_F(OpenApiTest, HasEveryParameterAndSaysWhatItMayBe) {
  int bounds = 0;
  for (const auto& route : routes_) {
    std::set<std::string> documented;
    const YAML::Node operation = operation_of(route);
    for (const auto& parameter : operation["parameters"]) {
      if (parameter["in"].as<std::string>() != "query") continue;
      const std::string name = parameter["name"].as<std::string>();
      documented.insert(name);
      const auto refuses = [&](int64_t value) {
        ++bounds;
        return route.handle({.method = route.method, .path = route.path, .query = {{name, std::to_string(value)}}}).status == 400;
      };
      const YAML::Node schema = parameter["schema"];
      if (const YAML::Node least = schema["minimum"]) {
        EXPECT_TRUE(refuses(least.as<int64_t>() - 1)) << route.path << " " << name;
      }
      if (const YAML::Node most = schema["maximum"]) {
        EXPECT_TRUE(refuses(most.as<int64_t>() + 1)) << route.path << " " << name;
      }
    }
    EXPECT_EQ(documented, std::set<std::string>(route.parameters.begin(), route.parameters.end())) << route.path;
  }
  EXPECT_GE(bounds, 10);
}

TEST_F(OpenApiTest, HasEveryKeyOfEveryAnswerWithItsType) {
  int answers = 0;
  for (const auto& route : routes_) {
    const YAML::Node operation = operation_of(route);
    ASSERT_TRUE(operation) << route.path;
    reloader_.set_source([]() -> Result<LoadedConfig> { return LoadedConfig{}; });
    HttpRequest request{.method = route.method, .path = route.path, .body = R"({"level":"info"})"};
    if (route.path == "/v1/exporters/{address}") request.path = "/v1/exporters/192.0.2.1";
    if (route.path == "/v1/captures") request.body = R"({"exporter":"192.0.2.1","listener":"netflow"})";
    request.tail = "1";  // of captures: the first
    HttpResponse response = route.handle(request);
    const YAML::Node documented = operation["responses"][std::to_string(response.status)];
    ASSERT_TRUE(documented) << route.method << " " << route.path << " answers " << response.status;
    if (response.content_type == "application/x-ndjson") {
      std::string lines;
      response.stream->next(lines);
      const YAML::Node line = documented["content"]["application/x-ndjson"]["schema"]["oneOf"][0];
      compare(json::parse(lines.substr(0, lines.find('\n'))), line, route.method + " " + route.path);
      ++answers;
    }
    if (response.content_type != "application/json") continue;
    while (response.stream && response.stream->next(response.body)) {
    }
    compare(json::parse(response.body), documented["content"]["application/json"]["schema"],
            route.method + " " + route.path);
    ++answers;
  }
  EXPECT_GE(answers, 18);
}

}  // namespace
}  // namespace weir::control
