#include "base/printable.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

TEST(Printable, LeavesWellFormedTextAlone) {
  for (const char* text : {"", "plain", "Zürich", "日本", "😀"}) EXPECT_EQ(printable(text), text);
  EXPECT_EQ(printable("\xc0\x80"), "\\xc0\\x80") << "overlong";
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80") << "surrogate";
  EXPECT_EQ(printable("\xc2\x9b"), "\\xc2\\x9b") << "CSI";
  EXPECT_EQ(printable("\xf0\x9f\x98"), "\\xf0\\x9f\\x98") << "cut short";
}

TEST(Printable, WritesOutWhatAReaderWouldBeMisledBy) {
  EXPECT_EQ(printable("a\nb\tc\x7f"), "a\\x0ab\\x09c\\x7f");
  EXPECT_EQ(printable("\u202egpj.exe"), "\\xe2\\x80\\xaegpj.exe") << "right to left";
  EXPECT_EQ(printable("\u061c\u200e\u200f"), "\\xd8\\x9c\\xe2\\x80\\x8e\\xe2\\x80\\x8f") << "marks";
  EXPECT_EQ(printable("\u2066a\u2069"), "\\xe2\\x81\\xa6a\\xe2\\x81\\xa9") << "isolates";
  EXPECT_EQ(printable("\u2028\u2029"), "\\xe2\\x80\\xa8\\xe2\\x80\\xa9") << "lines end here for some";
  for (const char* text : {"\u00a0", "\u2027", "\u202f", "\u2065", "\u206a"}) EXPECT_EQ(printable(text), text);
}

}  // namespace
}  // namespace weir
