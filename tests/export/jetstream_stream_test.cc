#include "export/jetstream_stream.h"

#include <gtest/gtest.h>

#include "export/publisher.h"

namespace weir::outbound {
namespace {

TEST(PublishAck, IsReadWhateverItsSpacingAndOrder) {
  struct Case {
    const char* json;
    bool valid, positive, duplicate;
    int code, err_code;
    const char* description;
  };
  const Case cases[] = {
      {R"({"stream":"F", "seq":1})", true, true, false, 0, 0, ""},
      {R"({"stream":"F", "seq":18446744073709551615,"duplicate": true})", true, true, true, 0, 0,
       ""},
      {R"({"duplicate":false,"seq" : 7 ,"stream":"F","domain":"hub"})", true, true, false, 0, 0,
       ""},
      {R"({"error":{"code":503,"err_code":10077,"description":"maximum messages exceeded"},"stream":"E","seq":0})",
       true, false, false, 503, 10077, "maximum messages exceeded"},
      {R"({"seq":9,"error":{"description":"no","code":400}})", true, false, false, 400, 0, "no"},
      {R"({"stream":"F","batch":{"seq":3}})", false, false, false, 0, 0, ""},
      {R"({"stream":"F","seq":0})", false, false, false, 0, 0, ""},
      {R"({"stream":"F","seq":"1"})", false, false, false, 0, 0, ""},
      {R"({"stream":"F", "seq":1)", false, false, false, 0, 0, ""},
      {"+OK", false, false, false, 0, 0, ""},
      {"", false, false, false, 0, 0, ""},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.json);
    const PublishAck ack = parse_publish_ack(c.json);
    EXPECT_EQ(ack.valid, c.valid);
    EXPECT_EQ(ack.positive, c.positive);
    if (!c.valid) continue;
    EXPECT_EQ(ack.duplicate, c.duplicate);
    EXPECT_EQ(ack.code, c.code);
    EXPECT_EQ(ack.err_code, c.err_code);
    EXPECT_EQ(ack.description, c.description);
  }
}

TEST(PublishAck, OfDeepNestingIsRefusedWithoutHarm) {
  std::string deep;
  for (int i = 0; i < 100'000; ++i) deep += R"({"a":)";
  EXPECT_FALSE(parse_publish_ack(deep).valid);
}

TEST(Subjects, CoverAndOverlapAsTheServerMatchesThem) {
  struct Case {
    const char* pattern;
    const char* subject;
    bool covered, overlapping;
  };
  const Case cases[] = {
      {"flows.raw.netflow", "flows.raw.netflow", true, true},
      {"flows.raw.*", "flows.raw.netflow", true, true},
      {"flows.>", "flows.raw.netflow", true, true},
      {"flows.>", "flows.raw.*", true, true},
      {">", "flows", true, true},
      {"flows.raw.netflow", "flows.raw.*", false, true},
      {"flows.*.netflow", "flows.raw.*", false, true},
      {"flows.raw.*", "flows.>", false, true},
      {"flows.raw", "flows.raw.netflow", false, false},
      {"flows.raw.*", "flows.raw.netflow.processed", false, false},
      {"flows.raw.*", "flows.raw", false, false},
      {"flows.>", "flows", false, false},
      {"flows.raw.sflow", "flows.raw.netflow", false, false},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(std::string(c.pattern) + " : " + c.subject);
    EXPECT_EQ(covers(c.pattern, c.subject), c.covered);
    EXPECT_EQ(overlap(c.pattern, c.subject), c.overlapping);
    EXPECT_EQ(overlap(c.subject, c.pattern), c.overlapping);
  }
}

}  // namespace
}  // namespace weir::outbound
