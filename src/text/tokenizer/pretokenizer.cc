#include "text/tokenizer/pretokenizer.h"

#include <algorithm>
#include <array>
#include <span>

#include "text/tokenizer/word_scanners.h"

namespace hearth::text {

Chars::Chars(std::string_view text) {
  code_points.reserve(text.size());
  classes.reserve(text.size());
  begins.reserve(text.size() + 1);
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Step step = utf8_step(text, at);
    code_points.push_back(step.code_point);
    classes.push_back(char_class(step.code_point));
    begins.push_back(static_cast<std::uint32_t>(at));
    at += step.size;
  }
  begins.push_back(static_cast<std::uint32_t>(text.size()));
}

// Scanners are applied one after another: each cuts further what the one before has left whole.
struct PretokenizerRules {
  std::array<Scanner, 4> scanners{};  // unused ones are null
  bool ignore_merges = false;
};

namespace {

constexpr PretokenizerRules kGpt2{{scan_gpt2}};
constexpr PretokenizerRules kSmolLm{{scan_each_number, scan_gpt2}};
constexpr PretokenizerRules kDefault{
    {scan_punctuation_runs, scan_gpt2, scan_number_runs, scan_ascii_digit_triples}};
constexpr PretokenizerRules kFalcon{
    {scan_falcon_punctuation_runs, scan_gpt2, scan_ascii_digit_triples}};
constexpr PretokenizerRules kLlama3{{scan_llama3}};
constexpr PretokenizerRules kLlama3Whole{{scan_llama3}, true};
constexpr PretokenizerRules kQwen2{{scan_qwen2}};
constexpr PretokenizerRules kQwen35{{scan_qwen35}};
constexpr PretokenizerRules kTekken{{scan_tekken}, true};
constexpr PretokenizerRules kGpt4o{{scan_gpt4o}};
constexpr PretokenizerRules kDeepSeek3{{scan_number_triples, scan_cjk_runs, scan_deepseek3}};

struct Named {
  std::string_view name;
  const PretokenizerRules* rules;
};

constexpr Named kNames[] = {
    {"", &kDefault},
    {"default", &kDefault},
    {"falcon", &kFalcon},
    {"gpt2", &kGpt2},
    {"gpt-2", &kGpt2},
    {"phi-2", &kGpt2},
    {"mpt", &kGpt2},
    {"olmo", &kGpt2},
    {"jais", &kGpt2},
    {"trillion", &kGpt2},
    {"granite-docling", &kGpt2},
    {"gigachat", &kGpt2},
    {"exaone4", &kGpt2},
    {"a.x-4.0", &kGpt2},
    {"mellum", &kGpt2},
    {"modern-bert", &kGpt2},
    {"smollm", &kSmolLm},
    {"starcoder", &kSmolLm},
    {"refact", &kSmolLm},
    {"command-r", &kSmolLm},
    {"codeshell", &kSmolLm},
    {"exaone", &kSmolLm},
    {"minerva-7b", &kSmolLm},
    {"llama3", &kLlama3Whole},
    {"llama-v3", &kLlama3Whole},
    {"llama-bpe", &kLlama3Whole},
    {"falcon3", &kLlama3Whole},
    {"falcon-h1", &kLlama3Whole},
    {"pixtral", &kLlama3Whole},
    {"midm-2.0", &kLlama3Whole},
    {"lfm2", &kLlama3Whole},
    {"glm4", &kLlama3Whole},
    {"dbrx", &kLlama3},
    {"smaug-bpe", &kLlama3},
    {"chatglm-bpe", &kLlama3},
    {"qwen2", &kQwen2},
    {"deepseek-r1-qwen", &kQwen2},
    {"stablelm2", &kQwen2},
    {"hunyuan", &kQwen2},
    {"megrez", &kQwen2},
    {"grok-2", &kQwen2},
    {"solar-open", &kQwen2},
    {"qwen35", &kQwen35},
    {"tekken", &kTekken},
    {"gpt-4o", &kGpt4o},
    {"llama4", &kGpt4o},
    {"kanana2", &kGpt4o},
    {"minimax-m2", &kGpt4o},
    {"deepseek-v3", &kDeepSeek3},
    {"hunyuan-dense", &kDeepSeek3},
    {"joyai-llm", &kDeepSeek3},
};

void split_stage(const Chars& chars, std::span<const Scanner> scanners, std::uint32_t begin,
                 std::uint32_t end, std::vector<std::uint32_t>& ends) {
  if (scanners.empty() || scanners.front() == nullptr) {
    ends.push_back(chars.begins[end]);
    return;
  }
  while (begin < end) {
    const std::uint32_t next = scanners.front()(chars, begin, end);
    split_stage(chars, scanners.subspan(1), begin, next, ends);
    begin = next;
  }
}

}  // namespace

Result<Pretokenizer> Pretokenizer::find(std::string_view name) {
  const auto found = std::ranges::find(kNames, name, &Named::name);
  if (found == std::end(kNames)) {
    return fail(ErrorKind::kUnsupported, "unsupported_pretokenizer",
                "pre-tokenizer \"{}\" is not supported", name.substr(0, 100));
  }
  return Pretokenizer(*found->rules);
}

void Pretokenizer::split(std::string_view text, std::vector<std::uint32_t>& ends) const {
  const Chars chars(text);
  split_stage(chars, rules_->scanners, 0, static_cast<std::uint32_t>(chars.code_points.size()),
              ends);
}

bool Pretokenizer::ignore_merges() const { return rules_->ignore_merges; }

}  // namespace hearth::text
