#include "net/http_client.h"

#include <gtest/gtest.h>

#include "testing/scripted_server.h"

namespace hearth::net {
namespace {

using testing::ScriptedServer;

class MemorySink final : public DownloadSink {
 public:
  Status start(const RemoteInfo& info, std::uint64_t offset) override {
    EXPECT_LE(offset, bytes.size());
    bytes.resize(offset);
    starts.push_back(offset);
    size_total = info.size_total;
    return {};
  }
  Status write(std::string_view more) override {
    if (bytes.size() + more.size() > bytes_max) return fail(ErrorKind::kIo, "disk_full", "full");
    bytes += more;
    return {};
  }
  std::string bytes;
  std::size_t bytes_max = std::size_t{1} << 20;
  std::vector<std::uint64_t> starts;
  std::optional<std::uint64_t> size_total;
};

HttpClientOptions fast() {
  HttpClientOptions options;
  options.retry_pause = std::chrono::milliseconds(1);
  return options;
}

std::string cut(const std::string& answer, std::size_t bytes_missing) {
  return answer.substr(0, answer.size() - bytes_missing);
}

TEST(HttpClientTest, Downloads) {
  ScriptedServer server({ScriptedServer::answer(200, "hello", "ETag: \"v1\"\r\n")});
  HttpClient client(fast());
  MemorySink sink;
  const auto info = client.download({server.url("/x"), {{"X-Mine", "1"}}, 0, ""}, sink);
  ASSERT_TRUE(info) << info.error().message;
  EXPECT_EQ(sink.bytes, "hello");
  EXPECT_EQ(sink.size_total, 5u);
  EXPECT_EQ(info->validator, "\"v1\"");
  const std::string head = server.requests().at(0);
  EXPECT_TRUE(head.starts_with("GET /x HTTP/1.1\r\n"));
  EXPECT_NE(head.find("Accept-Encoding: identity\r\n"), std::string::npos);
  EXPECT_NE(head.find("X-Mine: 1\r\n"), std::string::npos);
  EXPECT_EQ(head.find("Range:"), std::string::npos);
}

TEST(HttpClientTest, ABrokenConnectionIsResumedWhereItBroke) {
  ScriptedServer server({
      cut(ScriptedServer::answer(200, "0123456789", "ETag: \"v1\"\r\n"), 4),
      ScriptedServer::answer(206, "6789", "ETag: \"v1\"\r\nContent-Range: bytes 6-9/10\r\n"),
  });
  HttpClient client(fast());
  MemorySink sink;
  ASSERT_TRUE(client.download({server.url("/x"), {}, 0, ""}, sink));
  EXPECT_EQ(sink.bytes, "0123456789");
  EXPECT_EQ(sink.starts, (std::vector<std::uint64_t>{0, 6}));
  EXPECT_EQ(sink.size_total, 10u);
  const std::string head = server.requests().at(1);
  EXPECT_NE(head.find("Range: bytes=6-\r\n"), std::string::npos);
  EXPECT_NE(head.find("If-Range: \"v1\"\r\n"), std::string::npos);
}

TEST(HttpClientTest, AChangedFileStartsFromTheBeginning) {
  ScriptedServer server({ScriptedServer::answer(200, "new file", "ETag: \"v2\"\r\n")});
  HttpClient client(fast());
  MemorySink sink;
  sink.bytes = "old";
  ASSERT_TRUE(client.download({server.url("/x"), {}, 3, "\"v1\""}, sink));
  EXPECT_EQ(sink.bytes, "new file");
  EXPECT_NE(server.requests().at(0).find("If-Range: \"v1\"\r\n"), std::string::npos);
}

TEST(HttpClientTest, NothingLeftToSendIsDone) {
  ScriptedServer server({ScriptedServer::answer(416, "", "Content-Range: bytes */3\r\n")});
  HttpClient client(fast());
  MemorySink sink;
  sink.bytes = "abc";
  ASSERT_TRUE(client.download({server.url("/x"), {}, 3, ""}, sink));
  EXPECT_EQ(sink.bytes, "abc");
}

TEST(HttpClientTest, MoreThanTheServerHasStartsFromTheBeginning) {
  ScriptedServer server({ScriptedServer::answer(416, "", "Content-Range: bytes */2\r\n"),
                         ScriptedServer::answer(200, "ab")});
  HttpClient client(fast());
  MemorySink sink;
  sink.bytes = "abc";
  ASSERT_TRUE(client.download({server.url("/x"), {}, 3, ""}, sink));
  EXPECT_EQ(sink.bytes, "ab");
}

TEST(HttpClientTest, AWrongRangeIsRefused) {
  ScriptedServer server({ScriptedServer::answer(206, "xx", "Content-Range: bytes 1-2/5\r\n")});
  HttpClient client(fast());
  MemorySink sink;
  sink.bytes = "abc";
  EXPECT_FALSE(client.download({server.url("/x"), {}, 3, ""}, sink));
  EXPECT_EQ(sink.bytes, "abc");
}

TEST(HttpClientTest, AFileThatChangesDuringTheRetriesIsRefused) {
  ScriptedServer server({
      cut(ScriptedServer::answer(200, "0123456789"), 4),
      ScriptedServer::answer(206, "abc", "Content-Range: bytes 6-8/9\r\n"),
  });
  HttpClient client(fast());
  MemorySink sink;
  EXPECT_FALSE(client.download({server.url("/x"), {}, 0, ""}, sink));
}

TEST(HttpClientTest, RetriesThreeTimesAndNoMore) {
  ScriptedServer server({ScriptedServer::answer(503, "busy")});
  HttpClient client(fast());
  MemorySink sink;
  const auto info = client.download({server.url("/x?token=hush"), {}, 0, ""}, sink);
  ASSERT_FALSE(info);
  EXPECT_EQ(info.error().code, "network");
  EXPECT_NE(info.error().message.find("503"), std::string::npos);
  EXPECT_NE(info.error().message.find("tried 4 times"), std::string::npos);
  EXPECT_EQ(info.error().message.find("hush"), std::string::npos);
  EXPECT_EQ(server.requests().size(), 4u);
  EXPECT_EQ(sink.bytes, "");
}

TEST(HttpClientTest, RecoversFromTooManyRequests) {
  ScriptedServer server({ScriptedServer::answer(429, ""), ScriptedServer::answer(200, "ok")});
  HttpClient client(fast());
  const auto text = fetch_text(client, {server.url("/x"), {}, 0, ""}, 100);
  ASSERT_TRUE(text);
  EXPECT_EQ(text->text, "ok");
}

TEST(HttpClientTest, NotFoundAndForbiddenAreNotRetried) {
  ScriptedServer server({ScriptedServer::answer(404, "no"), ScriptedServer::answer(403, "no")});
  HttpClient client(fast());
  MemorySink sink;
  EXPECT_EQ(client.download({server.url("/x"), {}, 0, ""}, sink).error().code, "remote_not_found");
  EXPECT_EQ(client.download({server.url("/x"), {}, 0, ""}, sink).error().code, "remote_refused");
  EXPECT_EQ(server.requests().size(), 2u);
}

TEST(HttpClientTest, RedirectsDropSecretsOnAnotherHost) {
  ScriptedServer other({ScriptedServer::answer(200, "there")});
  ScriptedServer server({ScriptedServer::answer(302, "", "Location: " + other.url("/y") + "\r\n")});
  HttpClient client(fast());
  const auto text =
      fetch_text(client, {server.url("/x"), {{"Authorization", "Bearer hush"}}, 0, ""}, 100);
  ASSERT_TRUE(text);
  EXPECT_EQ(text->text, "there");
  EXPECT_EQ(text->url, other.url("/y"));
  EXPECT_NE(server.requests().at(0).find("hush"), std::string::npos);
  EXPECT_EQ(other.requests().at(0).find("hush"), std::string::npos);
}

TEST(HttpClientTest, PlainHttpIsRefusedAlsoByRedirect) {
  HttpClient client(fast());
  MemorySink sink;
  EXPECT_EQ(client.download({"http://example.org/x", {}, 0, ""}, sink).error().code, "plain_http");
  EXPECT_EQ(client.download({"file:///etc/passwd", {}, 0, ""}, sink).error().code, "invalid_url");
  ScriptedServer server({ScriptedServer::answer(302, "", "Location: http://example.org/y\r\n"),
                         ScriptedServer::answer(302, "", "Location: file:///etc/passwd\r\n")});
  EXPECT_EQ(client.download({server.url("/"), {}, 0, ""}, sink).error().code, "plain_http");
  EXPECT_EQ(client.download({server.url("/"), {}, 0, ""}, sink).error().code, "invalid_url");
}

TEST(HttpClientTest, RedirectLoopsEnd) {
  ScriptedServer server({ScriptedServer::answer(302, "", "Location: /again\r\n")});
  HttpClient client(fast());
  MemorySink sink;
  const auto info = client.download({server.url("/x"), {}, 0, ""}, sink);
  ASSERT_FALSE(info);
  EXPECT_NE(info.error().message.find("redirects"), std::string::npos);
  EXPECT_EQ(server.requests().size(), 11u);
}

TEST(HttpClientTest, TheSinksErrorEndsTheDownload) {
  ScriptedServer server({ScriptedServer::answer(200, "0123456789")});
  HttpClient client(fast());
  MemorySink sink;
  sink.bytes_max = 5;
  EXPECT_EQ(client.download({server.url("/x"), {}, 0, ""}, sink).error().code, "disk_full");
  EXPECT_EQ(server.requests().size(), 1u);
}

TEST(HttpClientTest, AnUnaskedEncodingIsRefused) {
  ScriptedServer server({ScriptedServer::answer(200, "xx", "Content-Encoding: gzip\r\n")});
  HttpClient client(fast());
  MemorySink sink;
  EXPECT_EQ(client.download({server.url("/x"), {}, 0, ""}, sink).error().code, "remote_encoding");
}

TEST(HttpClientTest, TextIsBounded) {
  ScriptedServer server({ScriptedServer::answer(200, std::string(101, 'x'))});
  HttpClient client(fast());
  EXPECT_EQ(fetch_text(client, {server.url("/"), {}, 0, ""}, 100).error().kind,
            ErrorKind::kTooLarge);
}

TEST(HttpClientTest, LoopbackNeverGoesThroughAProxy) {
  ScriptedServer server({ScriptedServer::answer(200, "direct")});
  HttpClientOptions options = fast();
  options.proxy = "http://127.0.0.1:1";
  HttpClient client(options);
  EXPECT_EQ(fetch_text(client, {server.url("/"), {}, 0, ""}, 100)->text, "direct");
}

TEST(HttpClientTest, NamedHostsMayBePlainAndGoThroughTheProxy) {
  ScriptedServer proxy({ScriptedServer::answer(200, "by proxy")});
  HttpClientOptions options = fast();
  options.proxy = proxy.url("");
  options.plain_http_hosts = {"mirror.test"};
  HttpClient client(options);
  const auto text = fetch_text(client, {"http://mirror.test/x", {}, 0, ""}, 100);
  ASSERT_TRUE(text) << text.error().message;
  EXPECT_EQ(text->text, "by proxy");
  EXPECT_TRUE(proxy.requests().at(0).starts_with("GET http://mirror.test/x HTTP/1.1\r\n"));
}

TEST(HttpClientTest, NobodyThereIsANetworkError) {
  std::string url;
  {
    const ScriptedServer server({""});
    url = server.url("/x");
  }
  HttpClient client(fast());
  MemorySink sink;
  const auto info = client.download({url, {}, 0, ""}, sink);
  ASSERT_FALSE(info);
  EXPECT_EQ(info.error().code, "network");
}

TEST(HttpClientTest, GarbageIsANetworkError) {
  ScriptedServer server({"not http at all\r\n\r\n"});
  HttpClient client(fast());
  MemorySink sink;
  EXPECT_FALSE(client.download({server.url("/"), {}, 0, ""}, sink));
}

}  // namespace
}  // namespace hearth::net
