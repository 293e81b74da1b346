#include "apps/load_report.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace hearth::apps {
namespace {

constexpr std::array<std::pair<const char*, double>, 4> kPercentiles = {
    {{"p50", 50}, {"p90", 90}, {"p95", 95}, {"p99", 99}}};

std::vector<float> sorted(std::vector<float> values) {
  std::sort(values.begin(), values.end());
  return values;
}

OrderedJson distribution(const std::vector<float>& values) {
  const std::vector<float> in_order = sorted(values);
  OrderedJson out;
  for (const auto& [name, p] : kPercentiles) out[name] = percentile(in_order, p);
  out["max"] = percentile(in_order, 100);
  return out;
}

std::string row(const char* name, const std::vector<float>& values) {
  const std::vector<float> in_order = sorted(values);
  std::string out = fmt::format("  {:22}", name);
  for (const auto& percent : kPercentiles)
    out += fmt::format(" {:9.1f}", percentile(in_order, percent.second));
  return out + fmt::format(" {:9.1f}\n", percentile(in_order, 100));
}

}  // namespace

bool LoadTargets::met_by(const LoadSample& sample) const {
  return (!ttft_ms || sample.ttft_ms <= *ttft_ms) &&
         (!tpot_ms || sample.tpot_ms.value_or(0) <= *tpot_ms);
}

double percentile(const std::vector<float>& sorted, double p) {
  if (sorted.empty()) return 0;
  const double at = p / 100 * static_cast<double>(sorted.size() - 1);
  const auto low = static_cast<std::size_t>(at);
  const std::size_t high = std::min(low + 1, sorted.size() - 1);
  return std::lerp(static_cast<double>(sorted[low]), static_cast<double>(sorted[high]),
                   at - std::floor(at));
}

void LoadReport::add(const LoadSample& sample) {
  ++succeeded_;
  if (targets_.met_by(sample)) ++met_targets_;
  if (!sample.has_usage) ++without_usage_;
  input_tokens_ += sample.input_tokens;
  output_tokens_ += sample.output_tokens;
  if (sample.cached_tokens) cached_tokens_ = cached_tokens_.value_or(0) + *sample.cached_tokens;
  ttft_ms_.push_back(static_cast<float>(sample.ttft_ms));
  total_ms_.push_back(static_cast<float>(sample.total_ms));
  if (sample.tpot_ms) tpot_ms_.push_back(static_cast<float>(*sample.tpot_ms));
  if (sample.gaps_ms.empty()) return;
  gaps_ms_.insert(gaps_ms_.end(), sample.gaps_ms.begin(), sample.gaps_ms.end());
  longest_gap_ms_.push_back(*std::max_element(sample.gaps_ms.begin(), sample.gaps_ms.end()));
}

void LoadReport::add_error(const std::string& message) {
  ++errors_;
  if (first_errors_.size() < kFirstErrors &&
      std::find(first_errors_.begin(), first_errors_.end(), message) == first_errors_.end())
    first_errors_.push_back(message);
}

void LoadReport::add_refusal(const std::string& message) {
  ++refused_;
  if (first_refusal_.empty()) first_refusal_ = message;
}

void LoadReport::add_retry(const std::string& message) {
  ++retries_;
  if (first_refusal_.empty()) first_refusal_ = message;
}

std::string LoadReport::first_failure() const {
  return first_errors_.empty() ? first_refusal_ : first_errors_.front();
}

OrderedJson LoadReport::json() const {
  OrderedJson out;
  out["requests_s"] = per_second(static_cast<double>(succeeded_));
  out["output_tok_s"] = per_second(static_cast<double>(output_tokens_));
  out["input_tok_s"] = per_second(static_cast<double>(input_tokens_));
  out["ttft_ms"] = distribution(ttft_ms_);
  out["tpot_ms"] = distribution(tpot_ms_);
  out["itl_ms"] = distribution(gaps_ms_);
  out["longest_itl_ms"] = distribution(longest_gap_ms_);
  out["total_ms"] = distribution(total_ms_);
  if (targets_.any()) out["goodput_s"] = per_second(static_cast<double>(met_targets_));
  out["requests"] = requests();
  out["succeeded"] = succeeded_;
  out["errors"] = errors_;
  out["refused"] = refused_;
  out["retries"] = retries_;
  out["unfinished"] = unfinished_;
  out["input_tokens"] = input_tokens_;
  out["output_tokens"] = output_tokens_;
  if (cached_tokens_) out["cached_tokens"] = *cached_tokens_;
  out["without_usage"] = without_usage_;
  out["seconds"] = seconds_;
  out["first_errors"] = first_errors_;
  return out;
}

std::string LoadReport::table() const {
  std::string out = fmt::format(
      "{} answers in {:.1f} s: {:.2f} requests/s, {:.1f} tokens/s out, {:.1f} tokens/s in\n",
      succeeded_, seconds_, per_second(static_cast<double>(succeeded_)),
      per_second(static_cast<double>(output_tokens_)),
      per_second(static_cast<double>(input_tokens_)));
  out += fmt::format("{} tokens out, {} in", output_tokens_, input_tokens_);
  if (cached_tokens_) out += fmt::format(", {} of them cached", *cached_tokens_);
  if (without_usage_ > 0)
    out += fmt::format(" ({} answers told no usage: their chunks were counted)", without_usage_);
  out += fmt::format("\n  {:22} {:>9} {:>9} {:>9} {:>9} {:>9}\n", "milliseconds", "p50", "p90",
                     "p95", "p99", "max");
  out += row("to the first token", ttft_ms_);
  out += row("per further token", tpot_ms_);
  out += row("between chunks", gaps_ms_);
  out += row("longest of a request", longest_gap_ms_);
  out += row("whole request", total_ms_);
  if (targets_.any()) {
    out += fmt::format("goodput {:.2f} requests/s", per_second(static_cast<double>(met_targets_)));
    if (targets_.ttft_ms) out += fmt::format(", first token within {} ms", *targets_.ttft_ms);
    if (targets_.tpot_ms) out += fmt::format(", further ones within {} ms", *targets_.tpot_ms);
    out += '\n';
  }
  if (refused_ + retries_ > 0)
    out += fmt::format("{} refused, {} tried again: {}\n", refused_, retries_, first_refusal_);
  if (unfinished_ > 0) out += fmt::format("{} broken off\n", unfinished_);
  if (errors_ > 0) out += fmt::format("{} errors\n", errors_);
  for (const std::string& message : first_errors_) out += fmt::format("  {}\n", message);
  return out;
}

}  // namespace hearth::apps
