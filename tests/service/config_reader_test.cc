#include "service/config_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/named_enum.h"

namespace weir::service {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

#define FRUITS(X) X(apple) X(pear)
WEIR_NAMED_ENUM(Fruit, uint8_t, FRUITS)

struct Basket {
  std::string name = "b";
  uint16_t count = 3;
};

struct Kitchen {
  bool open = true;
  uint8_t cooks = 2;
  uint64_t flour_bytes = 64 * 1024;
  uint32_t pause_ms = 50;
  Fruit fruit = Fruit::apple;
  std::optional<unsigned> oven;
  std::string url;
  std::string key;
  std::vector<unsigned> shelves;
  Basket basket;
  std::vector<Basket> baskets = {{"default", 1}};
};

const Schema<Basket>& basket_schema() {
  static const auto schema =
      Schema<Basket>()
          .key("name", &Basket::name, any_text(), "Its name.")
          .key("count", &Basket::count, integer<uint16_t>(1, 100), "How many.");
  return schema;
}

const Schema<Kitchen>& kitchen_schema() {
  static const auto schema =
      Schema<Kitchen>()
          .key("open", &Kitchen::open, boolean(), "Whether it is.")
          .key("cooks", &Kitchen::cooks, integer<uint8_t>(), "People.")
          .key("flour_bytes", &Kitchen::flour_bytes, size<uint64_t>(1024, 1 << 30), "Flour.")
          .key("pause_ms", &Kitchen::pause_ms, duration<uint32_t>(1'000'000, 1, 60'000), "Rest.")
          .key("fruit", &Kitchen::fruit, named_choice<Fruit>({{"durian", "is not supported yet"}}),
               "Which.")
          .key("oven", &Kitchen::oven, optional_of(integer<unsigned>(0, 9), "auto"), "Which oven.")
          .key("url", &Kitchen::url,
               text_where("a://", [](auto t) { return t.substr(0, 4) == "a://"; }), "Where.",
               {Secrecy::url, "KITCHEN_URL"})
          .key("key", &Kitchen::key, any_text(), "Of the door.", {Secrecy::secret, ""})
          .list("shelves", &Kitchen::shelves, integer<unsigned>(0, 9), "Which.")
          .object("basket", &Kitchen::basket, basket_schema(), "One.")
          .objects("baskets", &Kitchen::baskets, basket_schema(), "Many.")
          .ignored("cat", "cats do as they like");
  return schema;
}

struct Reading {
  Kitchen kitchen;
  Origins origins;
  ConfigReport report;
};

Reading read(std::string_view text, std::vector<const char*> environment = {}) {
  Reading r;
  const auto document = parse_config_document(text, "k.yaml");
  EXPECT_TRUE(document) << document.error().message;
  if (!document) return r;
  ReadContext context{r.report, r.origins};
  kitchen_schema().read(&r.kitchen, *document, "", context);
  kitchen_schema().read_environment(&r.kitchen, environment, context);
  return r;
}

TEST(ConfigReader, FillsTheStruct) {
  const auto r = read(
      "open: false\ncooks: 255\nflour_bytes: 2MiB\npause_ms: 2s\nfruit: pear\noven: 4\nurl: a://b\n"
      "shelves: [1, 2]\nbasket: {count: 7}\nbaskets:\n  - name: x\n  - count: 9\n");
  ASSERT_TRUE(r.report.ok()) << r.report.to_error().message;
  EXPECT_FALSE(r.kitchen.open);
  EXPECT_EQ(r.kitchen.cooks, 255);
  EXPECT_EQ(r.kitchen.flour_bytes, 2u << 20);
  EXPECT_EQ(r.kitchen.pause_ms, 2000u);
  EXPECT_EQ(r.kitchen.fruit, Fruit::pear);
  EXPECT_EQ(r.kitchen.oven, 4u);
  EXPECT_THAT(r.kitchen.shelves, ElementsAre(1u, 2u));
  EXPECT_EQ(r.kitchen.basket.name, "b");
  EXPECT_EQ(r.kitchen.basket.count, 7);
  ASSERT_EQ(r.kitchen.baskets.size(), 2u) << "the file's list stands in place of the default";
  EXPECT_EQ(r.kitchen.baskets[0].name, "x");
  EXPECT_EQ(r.kitchen.baskets[1].count, 9);
}

TEST(ConfigReader, RefusesWithPlaceKeyValueAndWhatIsAllowed) {
  const struct {
    const char* text;
    const char* error;
  } cases[] = {
      {"cook: 3", "k.yaml:1:1: cook: unknown key; did you mean cooks?"},
      {"xyzzy: 3", "k.yaml:1:1: xyzzy: unknown key; known are open, cooks, "},
      {"basket: {nam: x}", "k.yaml:1:10: basket.nam: unknown key; did you mean name?"},
      {"cooks: 1\nopen: true\ncooks: 1",
       "k.yaml:3:1: cooks: repeated; it stands in line 1 already"},
      {"cooks: 256",
       "k.yaml:1:8: cooks: \"256\" is not allowed; allowed: an integer from 0 to 255"},
      {"cooks: -1", "\"-1\" is not allowed"},
      {"cooks: 010", "\"010\" is not allowed"},
      {"cooks: 0x10", "\"0x10\" is not allowed"},
      {"cooks: 1.0", "\"1.0\" is not allowed"},
      {"cooks: 99999999999999999999", "\"99999999999999999999\" is not allowed"},
      {"cooks: two", "\"two\" is not allowed"},
      {"cooks:", "cooks: has no value; allowed: an integer"},
      {"cooks: null", "cooks: has no value"},
      {"cooks: [1]", "cooks: is a list; allowed: an integer"},
      {"cooks: {a: 1}", "cooks: is a map of keys; allowed: an integer"},
      {"open: yes", "\"yes\" is not allowed; allowed: true, false"},
      {"flour_bytes: 1023", "allowed: octets from 1KiB to 1GiB, such as 65536 or 64KiB"},
      {"flour_bytes: 2GiB", "is not allowed"},
      {"flour_bytes: 18014398509481984KiB", "is not allowed"},
      {"flour_bytes: 64 KB/s", "is not allowed"},
      {"pause_ms: 61s", "allowed: milliseconds from 1 to 60000, or with a unit such as 250ms"},
      {"pause_ms: 1500us", "is not allowed"},
      {"fruit: plum", "\"plum\" is not allowed; allowed: apple, pear"},
      {"fruit: durian", "\"durian\" is not supported yet; allowed: apple, pear"},
      {"oven: any", "allowed: auto, or an integer from 0 to 9"},
      {"url: \"nats://user:secret@host\"", "url: the value is not allowed; allowed: a://"},
      {"shelves: 3", "shelves: is not a list; write [a, b]"},
      {"shelves: [1, 10]", "k.yaml:1:14: shelves[1]: \"10\" is not allowed"},
      {"shelves:", "shelves: has no value; allowed: a list (an empty one is [])"},
      {"basket: 3", "k.yaml:1:9: basket: a map of keys is expected"},
      {"baskets: {name: x}", "baskets: is not a list"},
      {"baskets: [x]", "baskets[0]: a map of keys is expected"},
      {"baskets: [{name: x}, {count: 0}]", "k.yaml:1:30: baskets[1].count: \"0\" is not allowed"},
      {"[1, 2]", "a map of keys is expected"},
      {"? [a]\n: 1", "a key must be a word"},
      {"cooks: \"a\\nb\\e\"", "\"a\\x0ab\\x1b\" is not allowed"},
  };
  for (const auto& c : cases) {
    const auto r = read(c.text);
    ASSERT_EQ(r.report.errors().size(), 1u) << c.text << "\n" << r.report.to_error().message;
    EXPECT_THAT(r.report.errors()[0], HasSubstr(c.error)) << c.text;
    EXPECT_THAT(r.report.errors()[0], testing::Not(HasSubstr("secret"))) << c.text;
  }
}

TEST(ConfigReader, TellsAllMistakesAndBoundsThem) {
  EXPECT_EQ(read("cook: 3\ncooks: 256\nopen: 1\nbaskets: [{count: 0}, {count: x}]")
                .report.errors()
                .size(),
            5u);
  std::string many;
  for (int i = 0; i < 80; ++i) many += "key" + std::to_string(i) + ": 1\n";
  const auto r = read(many);
  EXPECT_EQ(r.report.errors().size(), kConfigErrorsMax);
  EXPECT_THAT(r.report.to_error().message, HasSubstr("\nand 30 more"));
}

TEST(ConfigReader, WarnsOfKeysThatMeanNothing) {
  const auto r = read("cat: tom\n");
  EXPECT_TRUE(r.report.ok());
  EXPECT_THAT(r.report.warnings(),
              ElementsAre("k.yaml:1:1: cat: means nothing here: cats do as they like"));
}

TEST(ConfigReader, LetsTheEnvironmentWin) {
  const auto r =
      read("cooks: 3\nshelves: [1]\n",
           {"WEIR_COOKS=4", "WEIR_SHELVES=7, 8,9", "WEIR_BASKET_COUNT=5", "WEIR_OVENS=1", "WEIRD=1",
            "HOME=/", "NOTHING", "KITCHEN_URL=a://alias", "WEIR_URL=a://own"});
  ASSERT_TRUE(r.report.ok()) << r.report.to_error().message;
  EXPECT_EQ(r.kitchen.cooks, 4);
  EXPECT_EQ(r.origins.at("cooks").to_string(), "environment WEIR_COOKS");
  EXPECT_THAT(r.kitchen.shelves, ElementsAre(7u, 8u, 9u));
  EXPECT_EQ(r.kitchen.basket.count, 5);
  EXPECT_EQ(r.kitchen.url, "a://own") << "the name that is more to the point";
  EXPECT_THAT(
      r.report.warnings(),
      ElementsAre("environment WEIR_OVENS: names no key of the configuration and is ignored"));
  EXPECT_EQ(read("", {"WEIR_URL=a://own", "KITCHEN_URL=a://alias"}).kitchen.url, "a://own");
  EXPECT_EQ(read("", {"KITCHEN_URL=a://alias"}).kitchen.url, "a://alias");
  EXPECT_TRUE(read("shelves: [1]", {"WEIR_SHELVES="}).kitchen.shelves.empty());
}

TEST(ConfigReader, RefusesABadValueInTheEnvironment) {
  EXPECT_THAT(
      read("", {"WEIR_COOKS=many"}).report.errors(),
      ElementsAre("environment WEIR_COOKS: cooks: \"many\" is not allowed; allowed: an integer "
                  "from 0 to 255"));
}

TEST(ConfigReader, SaysWhereEachEffectiveValueCameFrom) {
  const auto r = read("key: hush\nurl: a://u:p@h,a://h\nbaskets:\n  - name: x\n", {"WEIR_COOKS=4"});
  std::vector<std::string> lines;
  for (const auto& v : kitchen_schema().effective(&r.kitchen, r.origins)) {
    lines.push_back(v.path + "=" + v.value + " " + v.origin.to_string());
  }
  EXPECT_THAT(
      lines,
      ElementsAre("open=true default", "cooks=4 environment WEIR_COOKS",
                  "flour_bytes=64KiB default", "pause_ms=50 default", "fruit=apple default",
                  "oven=auto default", "url=a://****@h,a://h k.yaml:2:6", "key=**** k.yaml:1:6",
                  "shelves=[] default", "basket.name=b default", "basket.count=3 default",
                  "baskets[0].name=x k.yaml:4:11", "baskets[0].count=3 default"));
}

TEST(ConfigReader, DocumentsItsKeys) {
  std::vector<std::string> rows;
  for (const KeyDoc& d : kitchen_schema().document()) {
    rows.push_back(d.path + "|" + d.default_value + "|" + d.environment);
  }
  EXPECT_THAT(
      rows,
      ElementsAre("open|true|WEIR_OPEN", "cooks|2|WEIR_COOKS", "flour_bytes|64KiB|WEIR_FLOUR_BYTES",
                  "pause_ms|50|WEIR_PAUSE_MS", "fruit|apple|WEIR_FRUIT", "oven|auto|WEIR_OVEN",
                  "url||WEIR_URL", "key||WEIR_KEY", "shelves|[]|WEIR_SHELVES", "basket||",
                  "basket.name|b|WEIR_BASKET_NAME", "basket.count|3|WEIR_BASKET_COUNT", "baskets||",
                  "baskets[].name|b|", "baskets[].count|3|"));
}

TEST(ConfigReport, KnowsWhatAnErrorConcerns) {
  ConfigReport report;
  report.error({}, "listeners[1].port", "wrong");
  for (const char* path :
       {"listeners[1].port", "listeners[1]", "listeners", "listeners[1].port.x"}) {
    EXPECT_TRUE(report.has_error_at(path)) << path;
  }
  for (const char* path :
       {"listeners[0]", "listeners[1].name", "listeners[1].por", "listeners[10]", "l"}) {
    EXPECT_FALSE(report.has_error_at(path)) << path;
  }
}

TEST(ConfigValues, HaveUnits) {
  EXPECT_EQ(parse_size("64KiB"), 65536u);
  EXPECT_EQ(parse_size("64 KiB"), 65536u);
  EXPECT_EQ(parse_size("10GB"), 10'000'000'000u);
  EXPECT_EQ(parse_size("0"), 0u);
  for (const char* text : {"", "KiB", "1k", "1.5MiB", "-1", "64KiBs", "16777216TiB"}) {
    EXPECT_FALSE(parse_size(text)) << text;
  }
  EXPECT_EQ(parse_duration_ns("5", 1'000'000), 5'000'000u);
  EXPECT_EQ(parse_duration_ns("2m", 1), 120'000'000'000u);
  EXPECT_FALSE(parse_duration_ns("5 years", 1));
  EXPECT_EQ(print_size(65536), "64KiB");
  EXPECT_EQ(print_size(65537), "65537");
  EXPECT_EQ(print_size(0), "0");
}

TEST(ConfigValues, HideWhatIsSecret) {
  EXPECT_EQ(masked("nats://u:p@h:4222", Secrecy::url), "nats://****@h:4222");
  EXPECT_EQ(masked("nats://u:p@x@h,nats://token@i,nats://j", Secrecy::url),
            "nats://****@h,nats://****@i,nats://j");
  EXPECT_EQ(masked("u:p@h", Secrecy::url), "****@h");
  EXPECT_EQ(masked("nats://h", Secrecy::url), "nats://h");
  EXPECT_EQ(masked("http://u:p@h:9/x?token=abc", Secrecy::url), "http://****@h:9/x?****");
  EXPECT_EQ(masked("https://h/x?token=a,b,c", Secrecy::url), "https://h/x?****");
  EXPECT_EQ(masked("https://h/x?token=a@b", Secrecy::url), "https://****");
  EXPECT_EQ(masked("nats://u:p?q@h", Secrecy::url), "nats://****");
  EXPECT_EQ(masked("http://h/x?a=b,http://v@i?c,d://e/", Secrecy::url), "http://h/x?****,http://****@i?****,d://e/");
  EXPECT_EQ(masked("http://h/x?next=a://b,c", Secrecy::url), "http://h/x?****");
  EXPECT_EQ(masked("http://h/x?", Secrecy::url), "http://h/x?") << "nothing to hide";
  EXPECT_EQ(masked("", Secrecy::secret), "");
  EXPECT_EQ(masked("x", Secrecy::secret), "****");
}

}  // namespace
}  // namespace weir::service
