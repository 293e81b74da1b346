#include "api/console.h"

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "api/app_fixture.h"

namespace hearth::api {
namespace {

std::string content(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string type_of(const std::filesystem::path& path) {
  if (path.extension() == ".html") return "text/html; charset=utf-8";
  if (path.extension() == ".css") return "text/css; charset=utf-8";
  if (path.extension() == ".js") return "text/javascript; charset=utf-8";
  if (path.extension() == ".svg") return "image/svg+xml";
  return "unknown";
}

const std::map<std::string, std::string> kAlways = {
    {"content-security-policy",
     "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src "
     "'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
    {"x-content-type-options", "nosniff"},
    {"referrer-policy", "no-referrer"},
    {"cross-origin-opener-policy", "same-origin"},
    {"cross-origin-resource-policy", "same-origin"},
    {"cache-control", "no-cache"},
};

TEST(Console, EveryFileOfThePageIsThereAsItIs) {
  Service service;
  LoopbackClient client(service.port());
  std::size_t seen = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::string(HEARTH_TEST_DATA) + "/../../web")) {
    const std::string name = entry.path().filename().string();
    client.send(http_get("/" + (name == "index.html" ? "" : name)));
    const RawResponse response = client.read_response();
    EXPECT_EQ(response.status, 200) << name;
    EXPECT_EQ(response.headers.at("content-type"), type_of(entry.path())) << name;
    EXPECT_TRUE(response.body == content(entry.path())) << name;
    for (const auto& [header, value] : kAlways) EXPECT_EQ(response.headers.at(header), value);
    ++seen;
  }
  // With the lexer and its licence, nothing else.
  EXPECT_EQ(console_assets().size(), seen + 2);
  client.send(http_get("/vendor/marked.js") + http_get("/vendor/marked.LICENSE.txt"));
  const RawResponse lexer = client.read_response();
  EXPECT_EQ(lexer.headers.at("content-type"), "text/javascript; charset=utf-8");
  EXPECT_NE(lexer.body.find("marked - a markdown parser"), std::string::npos);
  const RawResponse licence = client.read_response();
  EXPECT_EQ(licence.headers.at("content-type"), "text/plain; charset=utf-8");
  EXPECT_NE(licence.body.find("Permission is hereby granted, free of charge"), std::string::npos);
}

TEST(Console, WhatTheBrowserHasIsNotSentAgain) {
  Service service;
  LoopbackClient client(service.port());
  client.send(http_get("/app.css") + http_get("/main.js"));
  const std::string etag = client.read_response().headers.at("etag");
  EXPECT_EQ(etag.size(), 66u);
  EXPECT_EQ(etag.front(), '"');
  EXPECT_NE(client.read_response().headers.at("etag"), etag);
  const std::string same[] = {etag, "W/" + etag, "\"other\" ,\t" + etag + " ", "*"};
  for (const std::string& known : same) {
    client.send(http_get("/app.css", "If-None-Match: " + known + "\r\n"));
    const RawResponse response = client.read_response();
    EXPECT_EQ(response.status, 304) << known;
    EXPECT_EQ(response.body, "");
    EXPECT_EQ(response.headers.count("content-length"), 0u);  // a 0 would speak of the file
    EXPECT_EQ(response.headers.at("etag"), etag);
    for (const auto& [header, value] : kAlways) EXPECT_EQ(response.headers.at(header), value);
  }
  const std::string other[] = {"\"other\"", etag.substr(1, 64), "", ",", "W/"};
  for (const std::string& known : other) {
    client.send(http_get("/app.css", "If-None-Match: " + known + "\r\n"));
    EXPECT_EQ(client.read_response().status, 200) << known;
  }
}

TEST(Console, HeadAndOtherMethods) {
  Service service;
  LoopbackClient client(service.port());
  client.send("HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const RawResponse head = client.read_response(10s, true);
  EXPECT_EQ(head.status, 200);
  client.send(http_get("/"));
  const RawResponse page = client.read_response();
  EXPECT_EQ(head.headers.at("content-length"), std::to_string(page.body.size()));
  EXPECT_EQ(head.headers.at("etag"), page.headers.at("etag"));
  client.send(http_post("/", "x"));
  const RawResponse post = client.read_response();
  EXPECT_EQ(post.status, 405);
  EXPECT_EQ(post.headers.at("allow"), "GET, HEAD");
}

TEST(Console, NothingElseIsReachable) {
  Service service;
  for (const char* path :
       {"/index.html", "/app.css/", "//app.css", "/vendor/", "/vendor/marked.umd.js",
        "/web/app.css", "/app.css%00.html", "/..%2fapp.css", "/etc/passwd"}) {
    const RawResponse response = service.send(http_get(path));
    EXPECT_TRUE(response.status == 404 || response.status == 400) << path;
    const auto document = parse_json(response.body);
    ASSERT_TRUE(document && document->contains("error")) << path;
    EXPECT_EQ(response.headers.count("etag"), 0u) << path;
  }
  EXPECT_EQ(service.get("/nothing.js", 404)["error"]["code"], "unknown_route");
  EXPECT_EQ(service.get("/vendor/../../../etc/passwd", 400)["error"]["code"], "invalid_target");
  EXPECT_EQ(service.get("/vendor/%2e%2e/app.css", 400)["error"]["code"], "invalid_target");
}

}  // namespace
}  // namespace hearth::api
