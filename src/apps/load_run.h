// Sends a load and measures it: closed loop (so many clients, each with its next request as soon as
// the last one is answered) or open loop (requests come when they come).
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "apps/load_plan.h"
#include "apps/load_report.h"
#include "net/load_client.h"

namespace hearth::apps {

enum class LoadApi : std::uint8_t { kChat, kCompletions };

// How far a load is.
struct LoadProgress {
  const LoadReport& report;
  std::int64_t requests = 0;  // in all
  std::int64_t open = 0;      // sent, not answered
  double seconds = 0;
  bool warmup = false;
};

struct LoadRunOptions {
  std::string prefix = "/v1";  // of the paths
  LoadApi api = LoadApi::kChat;
  std::string model;
  std::int64_t requests = 256;
  std::int64_t clients = 32;  // at once; 0: no limit (open loop only)
  std::int64_t warmup = 1;    // sent before the others, by the same clients, not counted
  bool open_loop = false;     // arrivals as the plan has them
  bool ignore_eos = false;
  double temperature = 0;
  std::uint64_t seed = 0;  // of the pauses
  LoadTargets targets;
  std::function<void(const LoadProgress&)> progress;  // about once a second
};

struct LoadResult {
  LoadReport report;
  bool interrupted = false;  // by a signal; the report is about what was done until then
};

// A server that answers 429 or 503 refuses. In a closed loop the client then waits for as long as
// Retry-After says (a second if it says nothing, a minute at most), +-50 % at random, and asks
// again, while no more than a tenth of the requests so far were asked again; beyond that the
// request is counted as refused, and after the pause the client goes on to its next one. In an open
// loop it is counted at once.
//
// Times are those of the try that was answered. Errors: when not one of the warm-up requests could
// be answered, what the first of them met.
Result<LoadResult> run_load(net::LoadClient& client, const LoadPlan& plan,
                            const LoadRunOptions& options);

// The first model of GET <prefix>/models.
Result<std::string> first_model(net::LoadClient& client, const std::string& prefix);

}  // namespace hearth::apps
