#include "api/output_filter.h"

#include <exception>

#include "base/fault_point.h"
#include "base/log.h"

namespace hearth::api {

using security::Match;
using security::RedactionAction;

OutputFilter::OutputFilter(std::shared_ptr<const security::RedactionPolicy> policy, bool for_tokens,
                           FilterEvents events)
    : redactor_(std::move(policy)), for_tokens_(for_tokens), events_(std::move(events)) {}

template <class Work>
std::string OutputFilter::guarded(Work work) {
  if (withheld()) return {};
  std::string out;
  bool failed = FAULT_POINT("output_filter");
  try {
    if (!failed) work(out);
  } catch (const std::exception& error) {
    // Whatever it is: a text that was not looked at in full must not leave.
    log::error("the output filter failed: {}", error.what());
    failed = true;
  }
  if (failed) {
    failed_ = true;
    end_ = decided_;
    if (events_.failed) events_.failed();
    return {};
  }
  decided_ = static_cast<std::int64_t>(redactor_.decided());
  take_matches();
  return out;
}

void OutputFilter::take_matches() {
  for (const Match& match : redactor_.take_matches()) {
    if (match.action == RedactionAction::kBlock) end_ = static_cast<std::int64_t>(match.begin);
    if (for_tokens_ && match.action == RedactionAction::kMask) hidden_.push_back(match);
    if (!match.continues && events_.matched)
      events_.matched(match, redactor_.policy().name(match.type));
  }
}

std::string OutputFilter::push(std::string_view text) {
  return guarded([&](std::string& out) { redactor_.push(text, out); });
}

std::string OutputFilter::finish() {
  return guarded([&](std::string& out) { redactor_.finish(out); });
}

std::string OutputFilter::shown(std::int64_t begin, std::string_view original, bool touches_next,
                                bool& changed) {
  const auto first = static_cast<std::uint64_t>(begin);
  const std::uint64_t end = first + original.size();
  while (!hidden_.empty() && hidden_.front().end <= first) hidden_.erase(hidden_.begin());
  std::string out;
  std::uint64_t at = first;
  changed = false;
  for (const Match& match : hidden_) {
    if (match.begin >= end + (touches_next ? 1 : 0)) break;
    changed = true;
    if (match.begin >= end) break;
    if (match.begin >= first) {
      out += original.substr(at - first, match.begin - at);
      if (!match.continues) out += security::kRedacted;
    }
    at = std::min(match.end, end);
  }
  return out += original.substr(at - first);
}

}  // namespace hearth::api
