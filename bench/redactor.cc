// What the output filter costs: bytes a second on one core, and what comes out.
#include <benchmark/benchmark.h>

#include <string>

#include "base/result.h"
#include "security/redactor.h"

namespace {

using hearth::security::RedactionOptions;
using hearth::security::RedactionPolicy;
using hearth::security::Redactor;

constexpr std::size_t kBytes = 8 << 20;

const char* const kTexts[] = {
    // Prose in two languages, then prose with much to find, then hardly anything but numbers.
    "春天来了，万物复苏。人们纷纷走出家门，去公园里散步、放风筝。小明问妈妈：“花儿为什么会开？”"
    "妈妈笑着说，因为它们听到了春天的脚步声！这一年的收成比去年好得多，村里的人都很高兴。",
    "The quick brown fox jumps over the lazy dog, and nobody in the village was surprised when the "
    "old clock struck thirteen; it had done so every Sunday for as long as anyone could remember. ",
    "王先生的手机号是13812345678，邮箱wang@example.com，订单号20240115103000。请在2024年1月15日前"
    "联系他。He paid 1,234.50 with card 4111 1111 1111 1111 on 15 January, call +86 "
    "139-1234-5678. ",
    "1024 77.5 2024-01-15 10:30:00 15 2024 99 0.125 138 4000 62 110105 1949 192.168.0.1 7,000 12% ",
};

std::string repeated(const char* unit) {
  std::string text;
  while (text.size() < kBytes) text += unit;
  return text;
}

void whole(benchmark::State& state) {
  const auto policy = *RedactionPolicy::create({});
  const std::string unit = kTexts[state.range(0)];
  const std::string text = repeated(unit.c_str());
  const std::size_t units = text.size() / unit.size();
  for (auto _ : state) {
    std::vector<hearth::security::Match> matches;
    const std::string out = hearth::security::redact(policy, text, &matches);
    HEARTH_CHECK(matches.size() == (state.range(0) == 2 ? 4 * units : 0));
    HEARTH_CHECK(state.range(0) == 2 || out == text);
    benchmark::DoNotOptimize(out.data());
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) *
                          static_cast<std::int64_t>(text.size()));
}

// In pieces as tokens come.
void streamed(benchmark::State& state) {
  const auto policy = *RedactionPolicy::create({});
  const std::string text = repeated(kTexts[state.range(0)]).substr(0, kBytes / 8);
  const std::string expected = hearth::security::redact(policy, text);
  for (auto _ : state) {
    Redactor redactor(policy);
    std::string out;
    for (std::size_t at = 0; at < text.size(); at += 4)
      redactor.push(std::string_view(text).substr(at, 4), out);
    redactor.finish(out);
    HEARTH_CHECK(out == expected);
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) *
                          static_cast<std::int64_t>(text.size()));
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) *
                          static_cast<std::int64_t>(text.size() / 4));
}

BENCHMARK(whole)->DenseRange(0, 3)->Unit(benchmark::kMillisecond);
BENCHMARK(streamed)->DenseRange(0, 3)->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
