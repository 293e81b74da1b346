// What a load has measured: rates, percentiles, goodput; as JSON and as a table.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "apps/load_answer.h"
#include "base/json.h"

namespace hearth::apps {

// Goodput counts the requests that met all targets that are set.
struct LoadTargets {
  std::optional<double> ttft_ms, tpot_ms;
  bool any() const { return ttft_ms || tpot_ms; }
  bool met_by(const LoadSample& sample) const;
};

// Between the two nearest values in proportion, as NumPy does; 0 if there are none. `p` in [0,
// 100].
double percentile(const std::vector<float>& sorted, double p);

class LoadReport {
 public:
  explicit LoadReport(const LoadTargets& targets) : targets_(targets) {}

  void add(const LoadSample& sample);
  void add_error(const std::string& message);
  void add_refusal(const std::string& message);
  void add_retry(const std::string& message);  // a refusal after which the client asks again
  void add_unfinished(std::int64_t n) { unfinished_ += n; }
  void set_seconds(double seconds) { seconds_ = seconds; }

  std::int64_t succeeded() const { return succeeded_; }
  std::int64_t errors() const { return errors_; }
  std::int64_t refused() const { return refused_; }
  std::int64_t retries() const { return retries_; }
  std::int64_t output_tokens() const { return output_tokens_; }
  // Answered, failed or refused.
  std::int64_t requests() const { return succeeded_ + errors_ + refused_; }
  // Why nothing has succeeded: the first error, else the first refusal.
  std::string first_failure() const;

  OrderedJson json() const;
  std::string table() const;

 private:
  static constexpr std::size_t kFirstErrors = 5;  // different ones

  double per_second(double n) const { return seconds_ > 0 ? n / seconds_ : 0; }

  LoadTargets targets_;
  std::int64_t succeeded_ = 0, errors_ = 0, refused_ = 0, retries_ = 0, unfinished_ = 0;
  std::int64_t met_targets_ = 0, without_usage_ = 0;
  std::int64_t input_tokens_ = 0, output_tokens_ = 0;
  std::optional<std::int64_t> cached_tokens_;
  double seconds_ = 0;
  std::vector<float> ttft_ms_, tpot_ms_, gaps_ms_, longest_gap_ms_, total_ms_;
  std::vector<std::string> first_errors_;
  std::string first_refusal_;
};

}  // namespace hearth::apps
