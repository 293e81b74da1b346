#include "net/url.h"

#include <gtest/gtest.h>

namespace hearth::net {
namespace {

TEST(UrlTest, TakesAUrlApart) {
  const auto url = parse_url("HTTPS://me:s%40cret@Example.org:8443/a/b%20c.gguf?x=1#sha256=00");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->scheme, "https");
  EXPECT_EQ(url->user, "me");
  EXPECT_EQ(url->password, "s@cret");
  EXPECT_EQ(url->host, "example.org");
  EXPECT_EQ(url->port, 8443);
  EXPECT_EQ(url->path, "/a/b%20c.gguf");
  EXPECT_EQ(url->query, "x=1");
  EXPECT_EQ(url->fragment, "sha256=00");
  EXPECT_EQ(url_file_name(*url), "b c.gguf");
}

TEST(UrlTest, DefaultsAndIpv6) {
  EXPECT_EQ(parse_url("https://example.org")->port, 443);
  EXPECT_EQ(parse_url("https://example.org")->path, "/");
  EXPECT_EQ(parse_url("http://[::1]:80/x")->host, "::1");
  EXPECT_EQ(url_file_name(*parse_url("https://example.org/a/")), "");
}

TEST(UrlTest, RefusesWhatIsNoWebUrl) {
  for (const char* text : {"", "file:///etc/passwd", "ftp://example.org/x", "example", "https://",
                           "https://host:99999/", "http://a b/", "scp://x/y"}) {
    const auto url = parse_url(text);
    ASSERT_FALSE(url) << text;
    EXPECT_EQ(url.error().code, "invalid_url");
  }
  EXPECT_FALSE(parse_url(std::string_view("https://a/\0b", 12)));
}

TEST(UrlTest, JoinsRelativeLinks) {
  const std::string base = "https://index.example/simple/pkg/";
  EXPECT_EQ(join_url(base, "../../packages/x.whl#sha256=1").value(),
            "https://index.example/packages/x.whl#sha256=1");
  EXPECT_EQ(join_url(base, "/x.whl").value(), "https://index.example/x.whl");
  EXPECT_EQ(join_url(base, "x.whl").value(), "https://index.example/simple/pkg/x.whl");
  EXPECT_EQ(join_url(base, "https://files.example/x").value(), "https://files.example/x");
}

TEST(UrlTest, DisplayHidesSecrets) {
  EXPECT_EQ(display_url("https://me:secret@example.org/a?token=hush#x"), "https://example.org/a");
}

TEST(UrlTest, EncodesAndDecodes) {
  EXPECT_EQ(percent_encode("a b/c%", true), "a%20b/c%25");
  EXPECT_EQ(percent_encode("a/b", false), "a%2Fb");
  EXPECT_EQ(percent_decode("a%20b%2fc"), "a b/c");
  EXPECT_EQ(percent_decode("100%"), "100%");
  EXPECT_EQ(percent_decode("%zz"), "%zz");
}

TEST(UrlTest, KnowsLoopback) {
  for (const char* host : {"localhost", "127.0.0.1", "127.255.0.9", "::1"}) {
    EXPECT_TRUE(is_loopback_host(host)) << host;
  }
  for (const char* host : {"example.org", "128.0.0.1", "127.0.0.1.example.org", "10.0.0.1", ""}) {
    EXPECT_FALSE(is_loopback_host(host)) << host;
  }
}

}  // namespace
}  // namespace hearth::net
