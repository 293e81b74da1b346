// The civil time is set while the server runs. The numbers are those of docs/faults.md.
#include "api/whole_server_fixture.h"
#include "testing/fake_clock.h"

namespace hearth::api {
namespace {

using SteadyClock = std::chrono::steady_clock;

TEST(Fault35, NoDeadlineNoticesThatTheClockIsSet) {
  testing::SettableClock clock;
  WholeServerOptions options;
  options.app.clock = &clock;
  options.app.request_timeout = 4s;
  options.pace = 5ms;  // for each row
  WholeServer whole(options);
  Undisturbed stream(whole, {.tokens = 24});
  const std::string body = R"({"prompt":"x","max_tokens":50,"ignore_eos":true})";
  std::int64_t created = 0;
  for (const auto jump : {1h, -2h, 25h, -24h}) {
    SCOPED_TRACE(jump.count());
    // One that is under way as the clock jumps, and one that begins after it.
    LoopbackClient open(whole.port());
    open.send(http_post("/v1/completions", body));
    EXPECT_TRUE(eventually([&] { return whole.engine_stats().running >= 2; }));
    clock.jump_wall(jump);
    const auto begin = SteadyClock::now();
    for (const RawResponse& response :
         {open.read_response(WholeServer::kPatience), whole.post("/v1/completions", body)}) {
      ASSERT_EQ(response.status, 200) << response.body;
      const Json answer = *parse_json(response.body);
      EXPECT_EQ(answer["usage"]["completion_tokens"], 50);
      created = answer["created"].get<std::int64_t>();
    }
    EXPECT_LT(SteadyClock::now() - begin, WholeServer::kPatience);
    // The jump was there to be seen: records have the civil time.
    const auto wall = clock.wall().time_since_epoch();
    const std::int64_t now = std::chrono::duration_cast<std::chrono::seconds>(wall).count();
    EXPECT_NEAR(static_cast<double>(created), static_cast<double>(now), 60);
  }
  // And a deadline is where it was, however often the clock is put back.
  LoopbackClient late(whole.port());
  const auto begin = SteadyClock::now();
  late.send(http_post("/v1/completions", R"({"prompt":"x","max_tokens":1000,"ignore_eos":true})"));
  EXPECT_TRUE(eventually([&] { return whole.engine_stats().running >= 2; }));
  clock.jump_wall(-1h);
  EXPECT_EQ(verdict(late.read_response(WholeServer::kPatience)), "504 deadline_exceeded");
  EXPECT_GE(SteadyClock::now() - begin, options.app.request_timeout);
  late.close();
  stream.check_after({errors_of("deadline_exceeded")});
}

}  // namespace
}  // namespace hearth::api
