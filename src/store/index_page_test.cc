#include "store/index_page.h"

#include <gtest/gtest.h>

namespace hearth::store {
namespace {

const std::string kPage = "https://index.test/simple/pkg/";
const std::string kHash(64, 'a');

TEST(IndexPageTest, Json) {
  const auto files = parse_index_page(
      R"({"meta":{"api-version":"1.1"},"files":[
          {"filename":"a.whl","url":"https://files.test/a.whl","hashes":{"sha256":")" +
          kHash + R"("}},
          {"filename":"b.whl","url":"../../b.whl","hashes":{}},
          {"filename":7,"url":"x"},{"url":"y"},17]})",
      "application/vnd.pypi.simple.v1+json", kPage);
  ASSERT_TRUE(files) << files.error().message;
  ASSERT_EQ(files->size(), 2u);
  EXPECT_EQ(files->at(0).filename, "a.whl");
  EXPECT_EQ(files->at(0).url, "https://files.test/a.whl");
  EXPECT_EQ(files->at(0).sha256, kHash);
  EXPECT_EQ(files->at(1).url, "https://index.test/b.whl");
  EXPECT_EQ(files->at(1).sha256, "");
}

TEST(IndexPageTest, Html) {
  const auto files = parse_index_page(
      "<!DOCTYPE html><html><body><abbr href='no'>\n"
      "<a href=\"../../packages/a-1.0%2Blocal.whl#sha256=" +
          kHash +
          "\" data-requires-python=\"&gt;=3.9\">a-1.0+local.whl</a><br/>\n"
          "<A\n class=x  HREF='https://files.test/b.whl?x=1&amp;y=2' >b.whl</A>\n"
          "<a data-yanked href=c.whl>c.whl</a><a>none</a><a href=\"broken",
      "text/html; charset=utf-8", kPage);
  ASSERT_TRUE(files);
  ASSERT_GE(files->size(), 3u);
  EXPECT_EQ(files->at(0).filename, "a-1.0+local.whl");
  EXPECT_EQ(files->at(0).url, "https://index.test/packages/a-1.0%2Blocal.whl");
  EXPECT_EQ(files->at(0).sha256, kHash);
  EXPECT_EQ(files->at(1).filename, "b.whl");
  EXPECT_EQ(files->at(1).url, "https://files.test/b.whl?x=1&y=2");
  EXPECT_EQ(files->at(2).url, "https://index.test/simple/pkg/c.whl");
}

TEST(IndexPageTest, WhatIsNeitherIsRefused) {
  EXPECT_EQ(parse_index_page("x", "text/plain", kPage).error().code, "bad_index");
  EXPECT_EQ(parse_index_page("[]", "application/json", kPage).error().code, "bad_index");
  EXPECT_FALSE(parse_index_page("{", "application/json", kPage));
}

// Cut anywhere, a page gives fewer links, never a crash.
TEST(IndexPageTest, CutHtml) {
  const std::string page = "<a  x = \"1\" href = 'u.whl#sha256=" + kHash + "'>t</a><a href>";
  for (std::size_t n = 0; n <= page.size(); ++n) {
    const auto files = parse_index_page(page.substr(0, n), "text/html", kPage);
    ASSERT_TRUE(files);
    EXPECT_LE(files->size(), 1u);
  }
}

}  // namespace
}  // namespace hearth::store
