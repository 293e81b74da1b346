// The output filter: however a text is cut, the same comes out; what was valid UTF-8 stays so; not
// more is held back than is promised.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/http.h"
#include "security/redactor.h"

namespace {

using hearth::security::Match;
using hearth::security::RedactionOptions;
using hearth::security::RedactionPolicy;
using hearth::security::Redactor;

std::shared_ptr<const RedactionPolicy> make_policy(bool custom) {
  RedactionOptions options;
  if (custom) {
    options.strict_digits = true;
    options.words = {"falk", "Falke", "绝密", "绝密文件"};
    options.patterns = {{"project", R"(PRJ-\d{2,6}\b)", "mask", 16}, {"end", "zz$", "log", 4}};
  }
  auto policy = RedactionPolicy::create(options);
  HEARTH_CHECK(policy.has_value());
  return *policy;
}

}  // namespace

// The first byte chooses the policy and how the rest is cut.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  static const std::shared_ptr<const RedactionPolicy> policies[] = {make_policy(false),
                                                                    make_policy(true)};
  if (size == 0) return 0;
  const auto& policy = policies[bytes[0] & 1];
  std::uint32_t state = bytes[0];
  const std::string_view text(reinterpret_cast<const char*>(bytes) + 1, size - 1);
  std::vector<Match> matches;
  const std::string whole = hearth::security::redact(policy, text, &matches);
  Redactor redactor(policy);
  std::string cut;
  std::uint64_t decided = 0;
  for (std::size_t at = 0; at < text.size();) {
    state = state * 1664525 + 1013904223;
    const std::size_t piece = 1 + (state >> 24) % 40;
    redactor.push(text.substr(at, piece), cut);
    at = std::min(text.size(), at + piece);
    for (const Match& match : redactor.take_matches()) HEARTH_CHECK(match.begin >= decided);
    HEARTH_CHECK(redactor.decided() >= decided);
    decided = redactor.decided();
    HEARTH_CHECK(at - decided <= policy->held_bytes_max());
  }
  redactor.finish(cut);
  HEARTH_CHECK(cut == whole);
  HEARTH_CHECK(!hearth::net::is_valid_utf8(std::string(text)) || hearth::net::is_valid_utf8(whole));
  return 0;
}
