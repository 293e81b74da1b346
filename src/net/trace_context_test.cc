#include "net/trace_context.h"

#include <gtest/gtest.h>

#include "net/server_fixture.h"

namespace hearth::net {
namespace {

using testing::http_get;
using testing::LoopbackClient;

const std::string kTrace = "4bf92f3577b34da6a3ce929d0e0e4736";
const std::string kParent = "00f067aa0ba902b7";

std::string header(const std::string& version, const std::string& trace, const std::string& parent,
                   const std::string& rest) {
  return version + "-" + trace + "-" + parent + "-" + rest;
}

TEST(TraceContext, ReadsWhatKeepsTheRules) {
  const auto context = parse_traceparent(header("00", kTrace, kParent, "01"));
  ASSERT_TRUE(context.has_value());
  EXPECT_EQ(context->trace_id, kTrace);
  EXPECT_EQ(context->flags, "01");
  EXPECT_TRUE(parse_traceparent(header("01", kTrace, kParent, "00-later-fields")).has_value());
}

TEST(TraceContext, TakesNothingElse) {
  const std::string zeros(32, '0');
  std::string capitals = kTrace;
  capitals[1] = 'B';
  for (const std::string& wrong :
       {std::string(), std::string("x"), header("ff", kTrace, kParent, "01"),
        header("00", zeros, kParent, "01"), header("00", kTrace, zeros.substr(0, 16), "01"),
        header("00", capitals, kParent, "01"), header("00", kTrace, kParent, "01-more"),
        header("00", kTrace, kParent, "1"), header("01", kTrace, kParent, "01x"),
        header("0g", kTrace, kParent, "01"), header("00", kTrace + "0", kParent, "01")}) {
    EXPECT_FALSE(parse_traceparent(wrong).has_value()) << wrong;
  }
}

TEST(TraceContext, IsCarriedOnInTheAnswer) {
  std::string seen;
  RunningServer running({}, [&](HttpRequest request, Responder responder) {
    seen = request.trace_id;
    responder.send({200, {}, "ok"});
  });
  LoopbackClient client(running.port());
  client.send(http_get("/", "traceparent: " + header("00", kTrace, kParent, "01") + "\r\n"));
  const auto traced = client.read_response();
  EXPECT_EQ(seen, kTrace);
  const auto answer = parse_traceparent(traced.headers.at("traceparent"));
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->trace_id, kTrace);
  EXPECT_EQ(answer->flags, "01");
  EXPECT_EQ(traced.headers.at("traceparent").find(kParent), std::string::npos);
  client.send(http_get("/", "traceparent: 00-evil\r\n"));
  const auto plain = client.read_response();
  EXPECT_TRUE(seen.empty());
  EXPECT_EQ(plain.headers.count("traceparent"), 0u);
}

TEST(RequestName, NamesTheTraceInLogsIfThereIsOne) {
  EXPECT_EQ(RequestName{"req-1"}.for_log(), "req-1");
  EXPECT_EQ((RequestName{"req-1", kTrace}.for_log()), std::string("req-1 (trace ") + kTrace + ")");
}

}  // namespace
}  // namespace hearth::net
