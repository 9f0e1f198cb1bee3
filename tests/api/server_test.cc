// The server with a store that is made up: who may ask, what is refused, what becomes of answers that come late, badly or never.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <set>
#include <yaml-cpp/yaml.h>

#include "api/running_server.h"
#include "api/tls_client.h"
#include "service/raw_client.h"
#include "support/certificates.h"

namespace weir::api {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using Parts = std::deque<StorePart>;
using F = FakeBackend;

constexpr const char* kGroups = R"({"query":"in:flows time:last_1h groupby:src_ip limit:2"})";
const char* const kThree = R"({"columns":[],"rows":[["10.0.0.1",3,300,30],["10.0.0.2",2,200,20],["10.0.0.3",1,100,10]],"truncated":false})";

template <class Holds>
bool soon(Holds holds) {
  for (int i = 0; i < 500; ++i) {
    if (holds()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

TEST(ApiServer, AnswersAQuery) {
  RunningServer server;
  server.fake->lay_out({F::more(std::string(kThree).substr(0, 30)), F::more(std::string(kThree).substr(30)), F::over()});
  const auto answer = server.post("/api/query", kGroups);
  ASSERT_EQ(answer.status, 200) << answer.body;
  const json body = json::parse(answer.body);
  EXPECT_EQ(body["results"].size(), 2u);
  EXPECT_EQ(body["results"][1], (json{{"src_endpoint_ip", "10.0.0.2"}, {"count", 2}, {"bytes", 200}, {"packets", 20}}));
  EXPECT_EQ(body["truncated"], true);
  EXPECT_EQ(body["window"]["start"], "2026-11-02T11:00:00Z");
  EXPECT_EQ(body["table"], "rollup_src");
  EXPECT_EQ(body["columns"][0], (json{{"name", "src_endpoint_ip"}, {"type", "address"}}));
  EXPECT_EQ(server.fake->asked().at(0).max_rows, 3u);
}

TEST(ApiServer, AnswersInTheFormatThatIsAskedFor) {
  RunningServer server;
  server.fake->lay_out({F::more(kThree), F::over()});
  const auto csv = server.post("/api/query?format=csv", kGroups);
  EXPECT_EQ(csv.body, "src_endpoint_ip,count,bytes,packets\n10.0.0.1,3,300,30\n10.0.0.2,2,200,20\n");
  EXPECT_EQ(csv.headers.at("content-type"), "text/csv; charset=utf-8");
  const auto lines = server.post("/api/query", kGroups, {"Content-Type: application/json", "Accept: application/x-ndjson"});
  EXPECT_EQ(lines.body, "{\"src_endpoint_ip\":\"10.0.0.1\",\"count\":3,\"bytes\":300,\"packets\":30}\n{\"src_endpoint_ip\":\"10.0.0.2\",\"count\":2,\"bytes\":200,\"packets\":20}\n");
  server.fake->clear();
  server.fake->lay_out({F::more("PAR1"), F::more("PAR1"), F::over()});
  EXPECT_EQ(server.post("/api/query?format=parquet", kGroups).body, "PAR1PAR1");
  EXPECT_EQ(server.fake->asked().at(0).format, "parquet");
  EXPECT_THAT(server.fake->asked().at(0).sql, HasSubstr("LIMIT 3)"));
  EXPECT_EQ(server.fake->asked().at(0).max_rows, 2u) << "the store cuts a file, and says so";
  const auto plain = server.post("/api/query", "in:flows time:last_1h groupby:src_ip", {"Content-Type: text/plain"});
  EXPECT_EQ(plain.status, 502);  // PAR1 is no answer of rows
}

struct Refused {
  const char* method;
  const char* target;
  const char* body;
  long status;
  const char* says;
};
TEST(ApiServer, RefusesWithWhatIsWrong) {
  RunningServer server;
  constexpr Refused kRefused[] = {
      {"POST", "/api/query", R"({"query":"in:flows dst_port:abc"})", 400, "at 19: 'abc' is no value of dst_endpoint_port"},
      {"POST", "/api/query", R"({"query":5})", 400, "the body needs the text query"},
      {"POST", "/api/query", "{", 400, "must be a JSON object"},
      {"POST", "/api/query", R"({"query":"in:flows","page":2})", 400, "no member 'page'; allowed: query, format, cursor"},
      {"POST", "/api/query", R"({"query":"in:flows","format":"xml"})", 400, "allowed: json, ndjson, csv, parquet"},
      {"POST", "/api/query", R"({"query":"in:flows","cursor":"abc"})", 400, "cursor: is none of this query"},
      {"GET", "/api/query", "", 400, "the parameter query is missing"},
      {"GET", "/api/query?query=in:flows&limit=5", "", 400, "has no parameter 'limit': only query, format, cursor"},
      {"GET", "/api/nothing", "", 404, "no such route"},
      {"PUT", "/api/query", "", 405, "PUT is not allowed here, only POST, GET, HEAD"},
      {"GET", "/api/%zz", "", 400, "target is malformed"},
      {"POST", "/api/sql", R"({"sql":"SELECT 1","max_rows":0})", 400, "max_rows: allowed: 1 to 100000"},
      {"POST", "/api/sql", R"({"sql":"SELECT 1","timeout_ms":99999999})", 400, "timeout_ms: allowed: 1 to 30000"},
      {"POST", "/api/sql", R"({"sql":"SELECT ?","parameters":[{"addr":"x"}]})", 400, "parameters[0]: allowed are"},
      {"POST", "/api/sql", R"({"sql":"SELECT ?, ?","parameters":[{"addr":"::1"},[1]]})", 400, "parameters[1]: allowed are"},
      {"POST", "/api/sql", R"({"sql":"SELECT ?","parameters":[1e400]})", 400, "with numbers below 1e308"},
      {"POST", "/api/query", R"({"query":"in:flows",})", 400, "it is no JSON at octet 21"},
      {"POST", "/api/query", R"({"query":"in:flows proto:tcp","query":"in:flows"})", 400, "the body has the member 'query' twice"},
      {"GET", "/api/query?query=in:flows&format=csv&query=in:flows", "", 400, "the parameter 'query' is there twice"},
      {"GET", "/api/netflow?filter=src_ip%3D192.0.2.1&filter=dst_port%3D80", "", 400, "the parameter 'filter' is there twice"},
      {"GET", "/api/netflow?group_by=dst_port,src_ip,src_endpoint_ip", "", 400, "group_by, at 17: src_endpoint_ip is named twice"},
      {"GET", "/api/netflow?filter=src_ip%3D192.0.2.1&group_by=src_ip,src_cidr:200", "", 400, "group_by, at 17: '200' is no length of a network"},
      {"GET", "/api/netflow?group_by=timestamp", "", 400, "group_by, at 1: time cannot be grouped by"},
      {"GET", "/api/netflow?filter=bytes%3E1,duration_bucket%3E5m", "", 400, "filter, at 9: duration_bucket has no order and cannot be compared; the value >5m takes quotes"},
      {"GET", "/api/netflow?filter=src_ip%3D192.0.2.1&limit=0", "", 400, "limit, at 1: limit:'0'"},
      {"GET", "/api/netflow?time_range=soon", "", 400, "time_range, at 1: 'soon' is no time"},
      {"GET", "/api/netflow?filter=src_ip%3D192.0.2.1,dst_port%3Dx", "", 400, "filter, at 27: 'x' is no value of dst_endpoint_port"},
      {"GET", "/api/netflow?filter=src_ip", "", 400, "a filter is field=value"},
      {"GET", "/api/netflow?group_by=colour", "", 400, "group_by, at 1: 'colour' is no field"},
      {"GET", "/api/netflow?limit=0", "", 400, "allowed: 1 to 100000"},
      {"GET", "/api/netflow?sort=x", "", 400, "no parameter 'sort'"},
  };
  for (const Refused& r : kRefused) {
    SCOPED_TRACE(std::string(r.method) + " " + r.target + " " + r.body);
    const auto answer = test::fetch({.url = server.url(r.target), .method = r.method, .body = r.body, .headers = {"Content-Type: application/json"}});
    EXPECT_EQ(answer.status, r.status);
    const json body = json::parse(answer.body, nullptr, false);
    ASSERT_TRUE(body.is_object()) << answer.body;
    EXPECT_THAT(body["error"].get<std::string>(), HasSubstr(r.says));
  }
  // A pattern on a list of either side is fifty times as much SQL.
  std::string patterns = "in:flows";
  for (int i = 0; i < 24; ++i) {
    patterns += " tag:(";
    for (int j = 0; j < 200; ++j) patterns += j == 0 ? "%a" : ",%a";
    patterns += ")";
  }
  const auto large = server.post("/api/query", json{{"query", patterns}}.dump());
  EXPECT_EQ(large.status, 400);
  EXPECT_THAT(large.body, HasSubstr("fewer conditions, or fewer items in their lists"));
  EXPECT_TRUE(server.fake->asked().empty());
  EXPECT_EQ(json::parse(server.post("/api/query", R"({"query":"in:flows app:\"é\" x"})").body)["position"], 18) << "characters, not octets";
  EXPECT_EQ(server.post("/api/query", std::string(300'000, ' ')).status, 413);
  EXPECT_EQ(server.get("/healthz", {"X: " + std::string(20'000, 'x')}).status, 431);
  EXPECT_EQ(server.post("/api/query", "x", {"Content-Type: application/xml"}).status, 415);
}

TEST(ApiServer, WhatTheStoreRefusesIsTheAskersOnlyWhereHeWroteIt) {
  RunningServer server;
  server.fake->lay_out({F::failed(400, "Binder Error: no such column")});
  EXPECT_EQ(server.post("/api/sql", R"({"sql":"SELECT x"})").status, 400);
  EXPECT_EQ(server.post("/api/query", kGroups).status, 500);
  EXPECT_EQ(server.post("/api/query", R"({"query":"in:flows app:~( sort:app limit:2"})").status, 400);
  server.fake->clear();
  server.fake->lay_out({F::failed(503, "the store cannot be asked")});
  EXPECT_EQ(server.post("/api/sql", R"({"sql":"SELECT x"})").status, 503);
}

TEST(ApiServer, AnAnswerThatIsCutIsSeenToBe) {
  RunningServer server;
  std::string long_answer = R"({"columns":[{"name":"a","type":"x"}],"rows":[)";
  for (int i = 0; i < 20'000; ++i) long_answer += (i == 0 ? "[" : ",[") + std::to_string(i) + "]";
  server.fake->lay_out({F::more(long_answer), F::failed(503, "gone")});
  const auto late = server.post("/api/sql", R"({"sql":"SELECT a"})");
  EXPECT_NE(late.trouble, "") << "chunks end without the last one";
  server.fake->clear();
  server.fake->lay_out({F::more(R"({"columns":[{"name":"a"},{"name":"b"}],"rows":[["10.0.0.1",3]],"truncated":false})"), F::over()});
  EXPECT_THAT(server.post("/api/query", kGroups).body, HasSubstr("has 2 columns where 4 were asked for"));
  EXPECT_EQ(server.post("/api/query", kGroups).status, 502);
  server.fake->clear();
  server.fake->lay_out({F::more(R"({"columns":[{"name":"a"}],"rows":[[1],)"), F::over()});
  EXPECT_EQ(server.post("/api/sql", R"({"sql":"SELECT a"})").status, 502);
}

TEST(ApiServer, ALongAnswerIsStreamed) {
  RunningServer server;
  Parts parts = {F::more(R"({"columns":[{"name":"n","type":"BIGINT"}],"rows":[)")};
  for (int i = 0; i < 50; ++i) {
    std::string part;
    for (int j = 0; j < 2000; ++j) part += (i + j == 0 ? "[" : ",[") + std::to_string(i * 2000 + j) + "]";
    parts.push_back(F::more(part));
  }
  parts.push_back(F::more(R"(],"truncated":true})"));
  parts.push_back(F::over());
  server.fake->lay_out(parts);
  const auto answer = server.post("/api/sql", R"({"sql":"SELECT n"})");
  ASSERT_EQ(answer.status, 200);
  EXPECT_EQ(answer.headers.at("transfer-encoding"), "chunked");
  const json body = json::parse(answer.body);
  EXPECT_EQ(body["rows"].size(), 100'000u);
  EXPECT_EQ(body["rows"].back(), json::array({99'999}));
  EXPECT_EQ(body["truncated"], true);
}

TEST(ApiServer, WhoWaitsForTheStoreStallsNobody) {
  RunningServer server;
  server.fake->lay_out({F::never()});
  std::thread waits([&] { test::fetch({.url = server.url("/api/query"), .method = "POST", .body = kGroups, .headers = {"Content-Type: application/json"}, .timeout_ms = 1500}); });
  ASSERT_TRUE(soon([&] { return server.fake->calls == 1; }));
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_EQ(server.get("/healthz").status, 200);
  EXPECT_EQ(server.get("/api/fields").status, 200);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(1));
  waits.join();
  EXPECT_TRUE(soon([&] { return server.fake->calls == 0; })) << "the client has gone, and what it asked goes on";
}

TEST(ApiServer, AnswersSoManyQuestionsAtATimeAndLetsSomeWait) {
  RunningServer server;
  for (int i = 0; i < 4; ++i) server.fake->lay_out({F::never()});
  server.fake->lay_out({F::more(kThree), F::over()});
  std::vector<service::RawClient> clients;
  for (int i = 0; i < 4; ++i) {
    clients.push_back(service::RawClient::tcp(server.port()));
    ASSERT_TRUE(clients.back().send("GET /api/query?query=in:flows%20groupby:src_ip HTTP/1.1\r\nHost: localhost\r\n\r\n"));
  }
  ASSERT_TRUE(soon([&] { return server.fake->calls == 4; }));
  test::WebAnswer fifth;
  std::thread waits([&] { fifth = server.post("/api/query", kGroups); });
  ASSERT_TRUE(soon([&] { return server.get("/metrics").body.find("weir_api_questions_waiting 1") != std::string::npos; }));
  const auto sixth = server.post("/api/query", kGroups);
  EXPECT_EQ(sixth.status, 503);
  EXPECT_THAT(sixth.body, HasSubstr("4 questions are being answered and 1 wait already"));
  EXPECT_EQ(sixth.headers.at("retry-after"), "1");
  EXPECT_EQ(server.fake->calls, 4);
  clients.pop_back();  // his question ends, and the one that waits begins
  waits.join();
  EXPECT_EQ(fifth.status, 200) << fifth.body;
  clients.clear();
  EXPECT_TRUE(soon([&] { return server.fake->calls == 0; }));
}

TEST(ApiServer, WhatFailsWhileTheStoreIsAtItHasAStatus) {
  RunningServer server;
  const auto answer_to = [&](const char* error) {
    server.fake->clear();
    server.fake->lay_out({F::more(std::string(R"({"columns":[{"name":"a","type":"x"}],"rows":[],"truncated":false,"error":")") + error + "\"}"), F::over()});
    return server.post("/api/sql", R"({"sql":"SELECT a"})").status;
  };
  EXPECT_EQ(answer_to("it took longer than 30000 ms and was stopped"), 504);
  EXPECT_EQ(answer_to("Out of Memory Error: failed to allocate"), 507);
  EXPECT_EQ(answer_to("Conversion Error: x"), 400);
  server.fake->clear();
  server.fake->lay_out({F::more("{\"error\":"), F::more("\"Out of Memory Error\"}"), F::over()});
  EXPECT_EQ(server.post("/api/sql?format=parquet", R"({"sql":"SELECT a"})").status, 507) << "in place of a file";
}

TEST(ApiServer, HasRoomForSoManyConnections) {
  RunningServer server({.connections_max = 2});
  const auto a = service::RawClient::tcp(server.port()), b = service::RawClient::tcp(server.port());
  EXPECT_TRUE(soon([&] { return server.get("/healthz").status == 503; }));
}

TEST(ApiServer, TokensAreAskedForOverTcpAndNotOverTheUnixSocket) {
  RunningServer server({}, *Tokens::parse("noc 0123456789abcdef", "t"));
  EXPECT_EQ(server.get("/api/fields").status, 401);
  EXPECT_EQ(server.get("/api/fields").headers.at("www-authenticate"), "Bearer");
  EXPECT_EQ(server.get("/api/nothing").status, 401) << "who may not ask learns nothing";
  EXPECT_EQ(server.get("/metrics").status, 401);
  EXPECT_EQ(server.get("/healthz").status, 200);
  EXPECT_EQ(server.get("/api/fields", {"Authorization: Bearer 0123456789abcdeX"}).status, 401);
  EXPECT_EQ(server.get("/api/fields", {"Authorization: Basic 0123456789abcdef"}).status, 401);
  EXPECT_EQ(server.get("/api/fields", {"Authorization: bearer 0123456789abcdef"}).status, 200);
  EXPECT_EQ(test::fetch({.url = "http://x/api/fields", .unix_path = server.folder + "/api.sock"}).status, 200);
}

TEST(ApiServer, ANameThatLeadsToThisMachineIsNotItsOwn) {
  RunningServer server;
  EXPECT_EQ(server.get("/api/fields", {"Host: evil.example"}).status, 421);
  EXPECT_EQ(server.get("/api/fields", {"Host: localhost:1"}).status, 200);
  EXPECT_EQ(server.get("/api/fields", {"Host: [::1]:50048"}).status, 200);
}

TEST(ApiServer, PagesOfOtherOriginsMayAskOnlyWhereTheyAreNamed) {
  RunningServer server({.cors_origins = {"https://grafana.example"}});
  const auto stranger = server.get("/api/fields", {"Origin: https://evil.example"});
  EXPECT_EQ(stranger.headers.count("access-control-allow-origin"), 0u);
  const auto known = server.get("/api/fields", {"Origin: https://grafana.example"});
  EXPECT_EQ(known.headers.at("access-control-allow-origin"), "https://grafana.example");
  EXPECT_EQ(known.headers.at("vary"), "Origin");
  EXPECT_EQ(known.headers.at("access-control-expose-headers"), "X-Weir-Truncated, X-Weir-Left-Out, X-Weir-Notes, Retry-After");
  const auto preflight = test::fetch({.url = server.url("/api/query"), .method = "OPTIONS", .headers = {"Origin: https://grafana.example"}});
  EXPECT_EQ(preflight.status, 204);
  EXPECT_THAT(preflight.headers.at("access-control-allow-headers"), HasSubstr("Authorization"));
  EXPECT_EQ(test::fetch({.url = server.url("/api/query"), .method = "OPTIONS", .headers = {"Origin: https://evil.example"}}).status, 405);
}

TEST(ApiServer, SpeaksTlsAndKnowsClientsByTheirCertificates) {
  char name[] = "/tmp/weir-tls-XXXXXX";
  const std::string folder = mkdtemp(name);
  const auto write = [&](const char* file, const std::string& text) {
    std::ofstream(folder + "/" + file) << text;
    return folder + "/" + file;
  };
  const test::Authority ours, others("other CA");
  const auto own = ours.issue(), client = ours.issue(), stranger = others.issue();
  const std::string ca = write("ca.pem", ours.pem());
  ServerConfig config;
  config.cert_file = write("cert.pem", own.certificate);
  config.key_file = write("key.pem", own.key);
  {
    RunningServer server(config);
    EXPECT_EQ(test::fetch({.url = server.url("/healthz"), .ca_file = ca}).status, 200);
    EXPECT_EQ(test::fetch({.url = "http" + server.url("/healthz").substr(5), .ca_file = ca}).status, 0);
  }
  config.client_ca_file = ca;
  RunningServer server(config);
  server.fake->lay_out({F::more(kThree), F::over()});
  EXPECT_EQ(test::fetch({.url = server.url("/healthz"), .ca_file = ca}).status, 0);
  const std::string cert = write("client.pem", client.certificate), key = write("client.key", client.key);
  EXPECT_EQ(test::fetch({.url = server.url("/api/query"), .method = "POST", .body = kGroups, .headers = {"Content-Type: application/json"}, .ca_file = ca, .cert_file = cert, .key_file = key}).status, 200);
  const std::string bad_cert = write("stranger.pem", stranger.certificate), bad_key = write("stranger.key", stranger.key);
  EXPECT_EQ(test::fetch({.url = server.url("/healthz"), .ca_file = ca, .cert_file = bad_cert, .key_file = bad_key}).status, 0);
  std::filesystem::remove_all(folder);
}

/// Certificates in files, and a configuration with them.
struct TlsFiles {
  explicit TlsFiles(uint32_t connections_max = 256) {
    config.cert_file = write("cert.pem", own.certificate);
    config.key_file = write("key.pem", own.key);
    config.connections_max = connections_max;
    client_cert = write("client.pem", client.certificate);
    client_key = write("client.key", client.key);
    ca = write("ca.pem", authority.pem());
  }
  ~TlsFiles() { std::filesystem::remove_all(folder); }
  std::string write(const char* file, const std::string& text) const {
    std::ofstream(folder + "/" + file) << text;
    return folder + "/" + file;
  }
  const std::string folder = [] {
    char name[] = "/tmp/weir-tls-XXXXXX";
    return std::string(mkdtemp(name));
  }();
  const test::Authority authority;
  const test::CertificatePair own = authority.issue(), client = authority.issue();
  ServerConfig config;
  std::string ca, client_cert, client_key;
};
constexpr const char* kPlainGet = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

TEST(ApiServer, AClientThatTakesUpItsTlsSessionAgainIsAnswered) {
  TlsFiles files;
  files.config.client_ca_file = files.ca;
  RunningServer server(files.config);
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    SCOPED_TRACE(version);
    TlsClient first(server.port(), files.client_cert, files.client_key, version);
    ASSERT_TRUE(first.connected() && first.send(kPlainGet));
    EXPECT_THAT(first.read(), HasSubstr("200 OK"));
    const auto session = first.session();
    TlsClient again(server.port(), files.client_cert, files.client_key, version, session.session.get());
    ASSERT_TRUE(again.connected() && again.send(kPlainGet));
    EXPECT_THAT(again.read(), HasSubstr("200 OK"));
    EXPECT_TRUE(again.is_resumed());
  }
}

TEST(ApiServer, WhoLeavesOverTlsEndsHisQuestion) {
  TlsFiles files;
  RunningServer server(files.config);
  server.fake->lay_out({F::never()});
  TlsClient client(server.port(), "", "", TLS1_3_VERSION);
  ASSERT_TRUE(client.connected() && client.send("GET /api/query?query=in:flows HTTP/1.1\r\nHost: localhost\r\n\r\n"));
  ASSERT_TRUE(soon([&] { return server.fake->calls == 1; }));
  client.say_goodbye();
  EXPECT_TRUE(soon([&] { return server.fake->calls == 0; }));
}

TEST(ApiServer, WhatAClientSendsAheadIsAnsweredInItsTurnAndItsLeavingIsSeen) {
  for (const bool is_tls : {false, true}) {
    SCOPED_TRACE(is_tls);
    TlsFiles files;
    RunningServer server(is_tls ? files.config : ServerConfig());
    server.fake->lay_out({F::more(kThree), F::over()});
    server.fake->lay_out({F::never()});
    constexpr std::string_view kAsk = "GET /api/query?query=in:flows%20groupby:src_ip HTTP/1.1\r\nHost: localhost\r\n\r\n";
    std::optional<TlsClient> tls;
    std::optional<service::RawClient> plain;
    const auto send = [&](const std::string& octets) { return is_tls ? tls->send(octets) : plain->send(octets); };
    if (is_tls) tls.emplace(server.port(), "", "", TLS1_3_VERSION);
    else plain.emplace(service::RawClient::tcp(server.port()));
    // One that is answered, one that never is, and the beginning of a third.
    ASSERT_TRUE(send(std::string(kAsk) + std::string(kAsk)) && send("GET /he"));
    ASSERT_TRUE(soon([&] { return server.fake->asked().size() == 2 && server.fake->calls == 1; }));
    if (is_tls) tls->say_goodbye();
    else plain.reset();
    EXPECT_TRUE(soon([&] { return server.fake->calls == 0; }));
  }
}

TEST(ApiServer, HasRoomForSoManyConnectionsOverTls) {
  TlsFiles files(2);
  RunningServer server(files.config);
  const TlsClient a(server.port(), "", "", TLS1_3_VERSION), b(server.port(), "", "", TLS1_3_VERSION);
  TlsClient c(server.port(), "", "", TLS1_3_VERSION);
  ASSERT_TRUE(c.connected());
  EXPECT_THAT(c.read(), HasSubstr("503 Service Unavailable"));
}

TEST(ApiServer, TextThatIsNoUtf8IsRefusedBeforeItWaits) {
  RunningServer server;
  server.desk->running_max = 1;
  server.desk->waiting_max = 5;
  server.fake->lay_out({F::never()});
  auto busy = service::RawClient::tcp(server.port());
  ASSERT_TRUE(busy.send("GET /api/query?query=in:flows HTTP/1.1\r\nHost: localhost\r\n\r\n"));
  ASSERT_TRUE(soon([&] { return server.fake->calls == 1; }));
  EXPECT_EQ(server.post("/api/sql", "SELECT '\xff'", {"Content-Type: application/sql"}).status, 400);
  EXPECT_EQ(server.post("/api/query", "in:flows app:\xff", {"Content-Type: text/plain"}).status, 400);
  EXPECT_EQ(server.get("/api/netflow?filter=app=%ff").status, 400);
  EXPECT_EQ(server.get("/api/netflow?group_by=%ff").status, 400);
  EXPECT_EQ(server.get("/api/query?query=in:flows%20app:%ff").status, 400);
}

/// A store that throws, asked when room comes free.
TEST(ApiServer, AQuestionThatCannotBeginAfterItWaitedIsAnswered) {
  RunningServer server;
  server.desk->running_max = 1;
  server.fake->lay_out({F::never()});
  std::optional<service::RawClient> busy(service::RawClient::tcp(server.port()));
  ASSERT_TRUE(busy->send("GET /api/query?query=in:flows HTTP/1.1\r\nHost: localhost\r\n\r\n"));
  ASSERT_TRUE(soon([&] { return server.fake->calls == 1; }));
  server.fake->throws = true;
  test::WebAnswer waits;
  std::thread other([&] { waits = server.post("/api/query", kGroups); });
  ASSERT_TRUE(soon([&] { return server.get("/metrics").body.find("weir_api_questions_waiting 1") != std::string::npos; }));
  busy.reset();
  other.join();
  EXPECT_EQ(waits.status, 500) << waits.body;
  EXPECT_EQ(server.get("/healthz").status, 200);
}

TEST(ApiServer, ParametersReachTheStoreAsTheyAre) {
  RunningServer server;
  server.fake->lay_out({F::more(R"({"columns":[{"name":"a","type":"x"}],"rows":[],"truncated":false})"), F::over()});
  const auto status_of = [&](const std::string& parameters) { return server.post("/api/sql", R"({"sql":"SELECT ?","parameters":)" + parameters + "}").status; };
  EXPECT_EQ(status_of("[18446744073709551615]"), 400);
  EXPECT_EQ(status_of("[9223372036854775808]"), 400);
  EXPECT_EQ(status_of(R"([{"time":"soon"}])"), 400);
  EXPECT_EQ(status_of(R"([{"time":"9999-12-31T23:59:59-18:00"}])"), 400);
  EXPECT_TRUE(server.fake->asked().empty());
  EXPECT_EQ(status_of(R"([9223372036854775807,-9223372036854775808,null,1.5,true,{"addr":"10.0.0.1"},{"time":"2026-11-01T02:00:00+02:00"}])"), 200);
  EXPECT_EQ(parameters_json(server.fake->asked().at(0).parameters),
            R"([9223372036854775807,-9223372036854775808,null,1.5,true,{"addr":"10.0.0.1"},{"time":"2026-11-01T00:00:00Z"}])");
}

TEST(ApiServer, AFileThatIsCutIsSeenToBe) {
  RunningServer server;
  server.fake->lay_out({F::more("PAR1 and so on"), F::over()});
  EXPECT_EQ(server.post("/api/query?format=parquet", kGroups).status, 502);
  server.fake->clear();
  server.fake->lay_out({F::more("PAR1" + std::string(200'000, 'x')), F::more("more"), F::over()});
  EXPECT_NE(server.post("/api/query?format=parquet", kGroups).trouble, "") << "chunks end without the last one";
}

TEST(ApiServer, EveryFormatOfRowsSaysWhetherItIsAllOfThem) {
  RunningServer server;
  server.fake->lay_out({F::more(kThree), F::over()});
  for (const char* const format : {"json", "csv", "ndjson"}) {
    EXPECT_EQ(server.post(std::string("/api/query?format=") + format, kGroups).headers.at("x-weir-truncated"), "true");
    EXPECT_EQ(server.post(std::string("/api/query?format=") + format, R"({"query":"in:flows groupby:src_ip"})").headers.at("x-weir-truncated"), "false");
  }
  // Too long for a header: behind the body.
  std::string rows = R"({"columns":[{"name":"n","type":"BIGINT"}],"rows":[)";
  for (int i = 0; i < 50'000; ++i) rows += fmt::format("{}[{}]", i == 0 ? "" : ",", i);
  server.fake->clear();
  server.fake->lay_out({F::more(rows), F::more(R"(],"truncated":true})"), F::over()});
  const auto answer = server.post("/api/sql?format=csv", R"({"sql":"SELECT n"})");
  EXPECT_EQ(answer.trouble, "");
  EXPECT_EQ(answer.headers.at("trailer"), "X-Weir-Truncated");
  EXPECT_EQ(answer.headers.at("x-weir-truncated"), "true");
  EXPECT_TRUE(answer.body.ends_with("\n49999\n"));
}

TEST(ApiServer, OfAFileItSaysFromTheBeginningWhetherItIsAllOfThem) {
  RunningServer server;
  StorePart cut = F::more("PAR1");
  cut.is_cut = true;
  server.fake->lay_out({cut, F::more("PAR1"), F::over()});
  EXPECT_EQ(server.post("/api/query?format=parquet", kGroups).headers.at("x-weir-truncated"), "true");
  server.fake->clear();
  server.fake->lay_out({F::more("PAR1"), F::more("PAR1"), F::over()});
  EXPECT_EQ(server.post("/api/query?format=parquet", kGroups).headers.at("x-weir-truncated"), "false");
  // Of a long one too.
  server.fake->clear();
  cut.octets += std::string(1'000'000, 'x');
  server.fake->lay_out({cut, F::more("PAR1"), F::over()});
  const auto answer = server.post("/api/sql?format=parquet", R"({"sql":"SELECT n"})");
  EXPECT_EQ(answer.trouble, "");
  EXPECT_EQ(answer.headers.at("x-weir-truncated"), "true");
  EXPECT_EQ(answer.headers.count("trailer"), 0u);
}

TEST(ApiServer, SaysWhatTheStoreCouldNotReadOfTheWindow) {
  RunningServer server;
  StorePart rows = F::more(kThree);
  rows.left_out = "files=2; rows=30; from=2026-11-02T10:00:00Z; to=2026-11-02T12:00:00Z";
  server.fake->lay_out({rows, F::over()});
  const std::string query = json{{"query", "in:flows time:last_1h groupby:src_ip"}}.dump();
  const auto rows_answer = server.post("/api/query", query);
  EXPECT_EQ(rows_answer.headers.at("x-weir-left-out"), rows.left_out);
  EXPECT_EQ(json::parse(rows_answer.body)["left_out"], rows.left_out);
  for (const char* const format : {"csv", "ndjson"}) {
    EXPECT_EQ(server.post(std::string("/api/query?format=") + format, query).headers.at("x-weir-left-out"), rows.left_out) << format;
  }
  server.fake->clear();
  rows.octets = "PAR1PAR1";
  server.fake->lay_out({rows, F::over()});
  EXPECT_EQ(server.post("/api/query?format=parquet", query).headers.at("x-weir-left-out"), rows.left_out);
  // Of a statement nobody knows which time it is about.
  server.fake->clear();
  rows.octets = R"({"columns":[{"name":"n","type":"BIGINT"}],"rows":[[1]],"truncated":false})";
  server.fake->lay_out({rows, F::over()});
  EXPECT_EQ(server.post("/api/sql", R"({"sql":"SELECT 1"})").headers.at("x-weir-left-out"), rows.left_out);
  EXPECT_FALSE(server.fake->asked().back().reads);
}

TEST(ApiServer, TellsTheStoreWhoseFlowsItReads) {
  RunningServer server;
  server.fake->lay_out({F::more(kThree), F::over()});
  const auto reads_of = [&](const char* query) {
    server.post("/api/query", json{{"query", query}}.dump());
    const auto reads = server.fake->asked().back().reads;
    return reads ? windows_json(*reads) : "not said";
  };
  // Sums of whole minutes lie in no file.
  EXPECT_EQ(reads_of("in:flows time:last_1h groupby:src_ip"), "[]");
  EXPECT_EQ(reads_of(R"(in:flows time:[2026-11-02T11:30:00Z,2026-11-02T11:45:00Z] stats:"max(bytes_total) as m, min(bytes_total) as n, count(*) as c by src_ip")"),
            R"([["2026-11-02T11:30:00Z","2026-11-02T11:45:00Z"]])");
  // Of sums by the minute what is beside whole minutes comes from flows: here its end, its begin, and all of it.
  EXPECT_EQ(reads_of("in:flows time:[2026-11-02T09:00:00Z,2026-11-02T11:30:30Z] groupby:src_ip"), R"([["2026-11-02T11:30:00Z","2026-11-02T11:30:30Z"]])");
  EXPECT_EQ(reads_of("in:flows time:[2026-11-02T09:00:30Z,2026-11-02T13:00:00Z] groupby:src_ip"), R"([["2026-11-02T09:00:30Z","2026-11-02T09:01:00Z"]])");
  EXPECT_EQ(reads_of("in:flows time:[2026-11-02T11:30:05Z,2026-11-02T11:30:50Z] groupby:src_ip"), R"([["2026-11-02T11:30:05Z","2026-11-02T11:30:50Z"]])");
  // Sums by the minute are kept for a week here, so the first half hour of this one comes from flows.
  EXPECT_EQ(reads_of("in:flows time:[2026-10-20T10:30:00Z,2026-11-02T11:00:00Z] groupby:src_ip"), R"([["2026-10-20T10:30:00Z","2026-10-20T11:00:00Z"]])");
  EXPECT_EQ(reads_of("in:flows time:[,2026-11-02T11:00:00Z] sort:time"), R"([[null,"2026-11-02T11:00:00Z"]])");
}

TEST(ApiServer, TellsTheStoreWhichEndsFlowsHave) {
  RunningServer server;
  server.fake->lay_out({F::more(kThree), F::over()});
  const auto ends_of = [&](const char* query) {
    server.post("/api/query", json{{"query", query}}.dump());
    return ends_json(server.fake->asked().back().ends);
  };
  EXPECT_EQ(ends_of("in:flows time:last_1h sort:bytes_total:desc"), "[]");
  EXPECT_EQ(ends_of("in:flows time:last_1h ip:192.0.2.7 sort:bytes_total:desc"), R"([[{"src":["192.0.2.7","192.0.2.7"]},{"dst":["192.0.2.7","192.0.2.7"]}]])");
  EXPECT_EQ(ends_of(R"(in:flows time:last_1h src_cidr:2001:db8::/64 dst_ip:192.0.2.7 stats:"max(bytes_total) as m by dst_port")"),
            R"([[{"src":["2001:db8::","2001:db8::ffff:ffff:ffff:ffff"]}],[{"dst":["192.0.2.7","192.0.2.7"]}]])");
  // The page's end is looked for in the same flows.
  server.fake->clear();
  server.fake->lay_out({F::more(R"({"columns":[{"name":"cut","type":"BIGINT"}],"rows":[[null]],"truncated":false})"), F::over()});
  server.post("/api/query", json{{"query", "in:flows time:last_1h src_ip:192.0.2.7 sort:time:desc"}}.dump());
  const StoreQuery probe = server.fake->asked().front();
  EXPECT_NE(probe.sql.find(" AS cut "), std::string::npos) << probe.sql;
  EXPECT_EQ(ends_json(probe.ends), R"([[{"src":["192.0.2.7","192.0.2.7"]}]])");
  EXPECT_TRUE(probe.reads);
}

TEST(ApiServer, LearnsFromTheStoreWhichSumsItHas) {
  constexpr const char* kText = R"({"minutes":{"secs":172800,"from_us":7},"hours":{"secs":0,"from_us":8},"days":{"secs":5,"from_us":0},"flows":{"secs":6,"from_us":9}})";
  const auto kept = read_kept(kText);
  ASSERT_TRUE(kept);
  EXPECT_TRUE(*kept == (Kept{{172'800, 7}, {0, 8}, {5, 0}, {6, 9}}));
  for (const char* text : {"", "[]", "{}", "null", R"({"minutes":{"secs":1,"from_us":0}})", R"({"minutes":5,"hours":5,"days":5,"flows":5})"}) EXPECT_FALSE(read_kept(text)) << text;
  for (const char* word : {"172800", "from_us\":9"}) {
    std::string wrong = kText;
    wrong.replace(wrong.find(word), std::strlen(word), "x\"");
    EXPECT_FALSE(read_kept(wrong)) << wrong;
  }
}

// Minutes were kept for two days once, and are for thirty now: what is gone does not come back by that.
TEST(ApiServer, AsksNoSumsThatWereForgottenOnce) {
  RunningServer server;
  server.fake->lay_out({F::more(kThree), F::over()});
  constexpr const char* kRagged = "in:flows time:[2026-10-20T10:30:00Z,2026-10-20T14:30:00Z] groupby:src_ip";
  const auto asked = [&] {
    server.fake->clear();
    server.fake->lay_out({F::more(kThree), F::over()});
    server.post("/api/query", json{{"query", kRagged}}.dump());
    return server.fake->asked().back().sql;
  };
  server.keep({{30 * 86'400}, {}, {}, {}});
  EXPECT_THAT(asked(), HasSubstr("rollup_src_1m"));
  server.keep({{30 * 86'400, 1'793'000'000'000'000}, {}, {}, {}});  // 2026-10-26
  EXPECT_THAT(asked(), Not(HasSubstr("rollup_src_1m")));
  EXPECT_THAT(asked(), HasSubstr("flow_rows"));
}

TEST(ApiServer, SaysWhichFlowsAreNoLongerKept) {
  RunningServer server;
  server.fake->lay_out({F::more(kThree), F::over()});
  const auto notes_of = [&](const char* query) { return json::parse(server.post("/api/query", json{{"query", query}}.dump()).body)["notes"]; };
  constexpr const char* kFlows = "in:flows time:last_90d stats:\"max(bytes_total) as m, min(bytes_total) as n, count(*) as c by src_ip\"";
  EXPECT_EQ(notes_of(kFlows), json::array()) << "for ever";
  server.keep({{604'800}, {}, {}, {30 * 86'400}});
  const json gone = json::array({"flows before 2026-10-03T12:00:00Z are no longer kept: the answer lacks what only they could tell"});
  EXPECT_EQ(notes_of(kFlows), gone);
  // Of sums its first, ragged hour.
  EXPECT_EQ(notes_of("in:flows time:[2026-09-01T10:30:00Z,2026-11-01] groupby:src_ip"), gone);
  EXPECT_EQ(notes_of("in:flows time:[2026-09-01,2026-11-01] groupby:src_ip"), json::array());
  EXPECT_EQ(notes_of("in:flows time:last_29d stats:\"max(bytes_total) as m, min(bytes_total) as n, count(*) as c by src_ip\""), json::array());
  // They are kept for ever from now on, but were not.
  server.keep({{604'800}, {}, {}, {0, 1'790'985'600'000'000}});
  EXPECT_EQ(notes_of(kFlows), json::array({"flows before 2026-10-03T00:00:00Z are no longer kept: the answer lacks what only they could tell"}));
}

TEST(ApiServer, EveryFormatSaysWhichFlowsAreNoLongerKept) {
  RunningServer server;
  server.keep({{604'800}, {}, {}, {30 * 86'400}});
  const std::string gone = "flows before 2026-10-03T12:00:00Z are no longer kept: the answer lacks what only they could tell";
  const auto ask = [&](const char* format, const char* query) {
    server.fake->clear();
    server.fake->lay_out({F::more(std::string_view(format) == "parquet" ? "PAR1PAR1" : kThree), F::over()});
    const auto answer = server.post(std::string("/api/query?format=") + format, json{{"query", query}}.dump());
    EXPECT_EQ(answer.status, 200) << format << answer.body;
    return answer.headers.count("x-weir-notes") != 0 ? json::parse(answer.headers.at("x-weir-notes")) : json();
  };
  constexpr const char* kRagged = "in:flows time:[2026-09-01T10:30:00Z,2026-11-01] groupby:src_ip";
  for (const char* const format : {"json", "csv", "ndjson", "parquet"}) {
    SCOPED_TRACE(format);
    EXPECT_EQ(ask(format, kRagged), json::array({gone}));
    // A file goes on without its answer's head.
    const auto notes = server.fake->asked().back().notes;
    EXPECT_EQ(notes, std::string_view(format) == "parquet" ? std::vector<std::string>{gone} : std::vector<std::string>());
    EXPECT_EQ(ask(format, "in:flows groupby:src_ip"), json::array({"time: is not said; the last hour"}));
    EXPECT_EQ(ask(format, "in:flows time:last_1h groupby:src_ip"), json());
  }
  server.fake->clear();
  server.fake->lay_out({F::more(R"({"columns":[{"name":"src_ip","type":"VARCHAR"},{"name":"bytes","type":"BIGINT"}],"rows":[["192.0.2.1",1]],"truncated":false})"), F::over()});
  const auto dashboard = server.get("/api/netflow?format=csv&group_by=src_ip&time_range=%5B2026-09-01T10:30:00Z,2026-11-01%5D");
  ASSERT_EQ(dashboard.headers.count("x-weir-notes"), 1u) << dashboard.body;
  EXPECT_EQ(json::parse(dashboard.headers.at("x-weir-notes")), json::array({gone}));
}

TEST(ApiServer, TellsDashboardsWhichFlowsAreNoLongerKept) {
  RunningServer server;
  server.fake->lay_out({F::more(R"({"columns":[{"name":"src_ip","type":"VARCHAR"},{"name":"bytes","type":"BIGINT"}],"rows":[["192.0.2.1",1]],"truncated":false})"), F::over()});
  server.keep({{604'800}, {}, {}, {30 * 86'400}});
  const auto answer = [&](const char* window) { return json::parse(server.get(std::string("/api/netflow?group_by=src_ip&time_range=") + window).body); };
  const json ragged = answer("%5B2026-09-01T10:30:00Z,2026-11-01%5D"), recent = answer("last_24h");
  EXPECT_EQ(ragged.value("notes", json()), json::array({"flows before 2026-10-03T12:00:00Z are no longer kept: the answer lacks what only they could tell"})) << ragged;
  EXPECT_EQ(recent["count"], 1) << recent;
  EXPECT_FALSE(recent.contains("notes")) << "as dashboards know it";
}

TEST(ApiServer, IsReadyWhereTheStoreIs) {
  RunningServer server;
  EXPECT_EQ(server.get("/readyz").status, 200);
  server.fake->trouble = "the store cannot be asked";
  const auto answer = server.get("/readyz");
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(json::parse(answer.body)["because"], "the store cannot be asked");
  EXPECT_EQ(server.get("/healthz").status, 200);
  EXPECT_THAT(server.get("/metrics").body, HasSubstr("weir_api_answers_total{route=\"/readyz\",status=\"503\"} 1"));
}

TEST(ApiServer, KeepsConnectionsAndTakesOctetsThatAreNoHttp) {
  RunningServer server;
  auto client = service::RawClient::tcp(server.port());
  ASSERT_TRUE(client.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nHEAD /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
                          "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"));
  const std::string all = client.read_all();
  size_t count = 0;
  for (size_t at = all.find("HTTP/1.1 200"); at != std::string::npos; at = all.find("HTTP/1.1 200", at + 1)) ++count;
  EXPECT_EQ(count, 3u) << all;
  auto proxied = service::RawClient::tcp(server.port());
  ASSERT_TRUE(proxied.send("GET http://localhost/healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"));
  EXPECT_THAT(proxied.read_all(), HasSubstr("HTTP/1.1 200")) << "as proxies write it";
  auto bad = service::RawClient::tcp(server.port());
  ASSERT_TRUE(bad.send("\x16\x03\x01 hello\r\n\r\n"));
  EXPECT_THAT(bad.read_all(), HasSubstr("400 Bad Request"));
}

TEST(ApiServer, ItsDocumentHasItsRoutes) {
  RunningServer server;
  const YAML::Node document = YAML::LoadFile(std::string(getenv("WEIR_SOURCE_ROOT")) + "/docs/openapi-api.yaml");
  std::set<std::string> documented, real;
  for (const auto& path : document["paths"]) {
    for (const auto& operation : path.second) {
      const std::string method = operation.first.as<std::string>();
      if (method == "parameters") continue;
      std::string line = method + " " + path.first.as<std::string>();
      std::set<std::string> names;
      for (const auto& parameter : operation.second["parameters"]) {
        const YAML::Node p = parameter["$ref"] ? document["components"]["parameters"][parameter["$ref"].as<std::string>().substr(24)] : parameter;
        names.insert(p["name"].as<std::string>());
      }
      for (const std::string& name : names) line += " " + name;
      documented.insert(line);
      EXPECT_TRUE(operation.second["responses"]["200"]) << line;
    }
  }
  for (const Route& route : server.routes()) {
    std::string line = route.method == "GET" ? "get " : "post ";
    line += route.path;
    const std::set<std::string> names(route.parameters.begin(), route.parameters.end());
    for (const std::string& name : names) line += " " + name;
    real.insert(line);
  }
  EXPECT_EQ(documented, real);
}

}  // namespace
}  // namespace weir::api
