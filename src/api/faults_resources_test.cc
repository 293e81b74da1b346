// Faults of the machine's supply: connections, descriptors, threads. The numbers are those of
// docs/faults.md.
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "api/whole_server_fixture.h"

namespace hearth::api {
namespace {

// Lifts the soft limit of descriptors, and puts it back.
class DescriptorLimit {
 public:
  DescriptorLimit() { getrlimit(RLIMIT_NOFILE, &before_); }
  ~DescriptorLimit() { setrlimit(RLIMIT_NOFILE, &before_); }
  DescriptorLimit(const DescriptorLimit&) = delete;
  DescriptorLimit& operator=(const DescriptorLimit&) = delete;

  bool set(rlim_t soft) {
    const rlimit wanted{std::min(soft, before_.rlim_max), before_.rlim_max};
    return setrlimit(RLIMIT_NOFILE, &wanted) == 0 && wanted.rlim_cur == soft;
  }
  // One more descriptor can be opened, and no other.
  bool leave_one() {
    setrlimit(RLIMIT_NOFILE, &before_);
    const int probe = ::open("/dev/null", O_RDONLY | O_CLOEXEC);  // the lowest free one
    ::close(probe);
    return probe >= 0 && set(static_cast<rlim_t>(probe) + 1);
  }

 private:
  rlimit before_{};
};

TEST(Fault36, TenThousandConnectionsComeAndGo) {
  DescriptorLimit limit;
  ASSERT_TRUE(limit.set(1500));
  WholeServerOptions options;
  options.server.connections_max = 200;
  WholeServer whole(options);
  Undisturbed stream(whole);
  // More idle ones than there may be: the oldest have to go.
  std::vector<std::unique_ptr<LoopbackClient>> idle;
  for (int i = 0; i < 500; ++i) idle.push_back(std::make_unique<LoopbackClient>(whole.port()));
  EXPECT_TRUE(eventually([&] { return whole.stats().evicted >= 300; }));

  constexpr int kThreads = 4;
  constexpr int kEach = 2500;
  std::atomic<int> healthy{0};
  std::vector<std::thread> churners;
  for (int thread = 0; thread < kThreads; ++thread) {
    churners.emplace_back([&, thread] {
      for (int i = 0; i < kEach; ++i) {
        LoopbackClient client(whole.port());
        switch ((thread + i) % 4) {
          case 0:  // nothing is said
            break;
          case 1:
            client.send("POST /generate HTTP/1.1\r\nHost: loc");
            break;
          case 2:
            client.send(http_post("/generate", R"({"prompt":"x","max_tokens":50})"));
            break;
          case 3:
            client.send(http_get("/health"));
            healthy += client.read_response(WholeServer::kPatience).status == 200;
            continue;
        }
        client.reset();  // an orderly close would leave 10,000 ports waiting
      }
    });
  }
  for (std::thread& churner : churners) churner.join();
  EXPECT_EQ(healthy, kThreads * kEach / 4);
  EXPECT_LE(whole.stats().connections, 200u);
  EXPECT_EQ(whole.send(http_get("/health")).status, 200);
  idle.clear();
  stream.check_after({"hearth_connections_evicted_total"});
  EXPECT_GT(whole.stats().accepted, 10'000u);
}

TEST(Fault36, WithoutDescriptorsAcceptingPausesAndGoesOn) {
  WholeServerOptions options;
  options.server.raise_descriptor_limit = false;
  WholeServer whole(options);
  Undisturbed stream(whole);
  std::vector<std::unique_ptr<LoopbackClient>> idle;
  for (int i = 0; i < 5; ++i) {
    idle.push_back(std::make_unique<LoopbackClient>(whole.port()));
    idle.back()->send(http_get("/health"));
    EXPECT_EQ(idle.back()->read_response(WholeServer::kPatience).status, 200);
  }
  {
    DescriptorLimit limit;
    std::vector<std::unique_ptr<LoopbackClient>> late;
    for (int i = 0; i < 3; ++i) {
      ASSERT_TRUE(limit.leave_one());  // for the client; the server gets none
      late.push_back(std::make_unique<LoopbackClient>(whole.port()));
      // An idle one gives its own up.
      late.back()->send(http_get("/health"));
      EXPECT_EQ(late.back()->read_response(WholeServer::kPatience).status, 200);
    }
    EXPECT_GE(whole.stats().evicted, 3u);
  }
  idle.clear();
  stream.check_after({"hearth_accept_pauses_total", "hearth_connections_evicted_total"});
}

TEST(Fault36, WithoutDescriptorsAndAllBusyTheQueueOfTheKernelWaits) {
  WholeServerOptions options;
  options.server.raise_descriptor_limit = false;
  options.pace = 1ms;
  WholeServer whole(options);
  Undisturbed stream(whole);
  std::vector<std::unique_ptr<LoopbackClient>> busy;
  for (int i = 0; i < 3; ++i) {
    busy.push_back(std::make_unique<LoopbackClient>(whole.port()));
    busy.back()->send(http_post("/generate", R"({"prompt":"x","max_tokens":900,"stream":true,)"
                                             R"("ignore_eos":true})"));
    EXPECT_TRUE(busy.back()->read_until("\"text\"", WholeServer::kPatience));
  }
  {
    DescriptorLimit limit;
    ASSERT_TRUE(limit.leave_one());
    LoopbackClient late(whole.port());
    late.send(http_get("/health"));
    EXPECT_TRUE(eventually([&] { return whole.stats().accept_pauses > 2; }));
    EXPECT_EQ(late.buffered(), "");
    busy[1]->reset();  // one leaves, and there is room
    EXPECT_EQ(late.read_response(WholeServer::kPatience).status, 200);
  }
  busy.clear();
  stream.check_after({"hearth_accept_pauses_total"});
}

TEST(Fault37, RequestsTakeNoThreads) {
  WholeServer whole;
  Undisturbed stream(whole);
  const std::size_t ours = running_threads() - stream.threads_before();  // the stream's client
  std::vector<std::unique_ptr<LoopbackClient>> clients;
  const double told = value_of(whole.metrics(), "hearth_process_threads");
  std::size_t most = 0;
  for (int i = 0; i < 100; ++i) {
    clients.push_back(std::make_unique<LoopbackClient>(whole.port()));
    clients.back()->send(http_post(
        "/v1/completions",
        fmt::format(R"({{"prompt":"x","max_tokens":100,"ignore_eos":true,"stream":{},"n":2}})",
                    i % 2 == 0)));
    most = std::max(most, running_threads());
  }
  EXPECT_EQ(value_of(whole.metrics(), "hearth_process_threads"), told);
  for (const auto& client : clients) {
    EXPECT_EQ(client->read_response(WholeServer::kPatience).status, 200);
    most = std::max(most, running_threads());
  }
  EXPECT_EQ(most, stream.threads_before() + ours);
  EXPECT_EQ(static_cast<double>(most), told);
  EXPECT_EQ(value_of(whole.metrics(), "hearth_process_threads"), told);
  clients.clear();
  stream.check_after({});  // what counts here is the number that has not moved
}

// From now on, no thread can be had in this process, and whoever forks or executes kills it.
bool forbid_threads_and_processes() {
  const std::unique_ptr<void, decltype(&seccomp_release)> filter(seccomp_init(SCMP_ACT_ALLOW),
                                                                 &seccomp_release);
  bool good = filter != nullptr && seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_TSYNC, 1) == 0;
  const auto rule = [&](const char* name, std::uint32_t action,
                        const std::vector<scmp_arg_cmp>& conditions = {}) {
    const int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR) return;  // not on this architecture
    good = good &&
           seccomp_rule_add_array(filter.get(), action, number,
                                  static_cast<unsigned>(conditions.size()), conditions.data()) == 0;
  };
  // As at the limit of processes. clone3 gives way to clone, whose flags a filter can see.
  rule("clone3", SCMP_ACT_ERRNO(ENOSYS));
  rule("clone", SCMP_ACT_ERRNO(EAGAIN), {{0, SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD}});
  rule("clone", SCMP_ACT_KILL_PROCESS, {{0, SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0}});
  for (const char* name : {"fork", "vfork", "execve", "execveat"}) {
    rule(name, SCMP_ACT_KILL_PROCESS);
  }
  return good && seccomp_load(filter.get()) == 0;
}

// 0, or what went wrong.
int serve_without_threads() {
  WholeServer whole;
  const std::string text = http_post(
      "/v1/completions", R"({"prompt":"x","max_tokens":30,"ignore_eos":true,"temperature":0})");
  const std::string expected = normalised(whole.send(text));
  if (!expected.starts_with("200\n")) return 2;
  Undisturbed beside(whole);  // its thread is the last that can be had
  if (!forbid_threads_and_processes()) return 3;
  std::vector<std::unique_ptr<LoopbackClient>> clients;
  for (int i = 0; i < 50; ++i) {
    clients.push_back(std::make_unique<LoopbackClient>(whole.port()));
    clients.back()->send(i % 5 == 4 ? "G(T / HTTP/1.1\r\n\r\n" : text);
  }
  for (int i = 0; i < 50; ++i) {
    const RawResponse response = clients[static_cast<std::size_t>(i)]->read_response();
    if (i % 5 == 4 ? response.status != 400 : normalised(response) != expected) return 4;
  }
  const std::string stream = whole.post("/generate", R"({"prompt":"x","stream":true})").body;
  if (!stream.ends_with("[DONE]\n\n")) return 5;
  for (const char* path : {"/health", "/ready", "/v1/models", "/v1/models/default"}) {
    if (whole.send(http_get(path)).status != 200) return 6;
  }
  try {
    std::thread([] {}).join();
    return 7;  // the filter does nothing
  } catch (const std::system_error& error) {
    if (error.code() != std::errc::resource_unavailable_try_again) return 8;
  }
  clients.clear();
  beside.check_after({errors_of("malformed_request")});
  return ::testing::Test::HasFailure() ? 9 : 0;
}

TEST(Fault37DeathTest, RequestsAreServedWhereNoThreadAndNoProcessCanBeHad) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(_exit(serve_without_threads()), ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace hearth::api
