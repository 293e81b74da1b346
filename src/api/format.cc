#include "api/format.h"

#include <algorithm>

#include "net/http.h"

namespace hearth::api {
namespace {

using engine::FinishReason;

constexpr float kLogprobMin = -9999.f;  // stands for minus infinity, as in OpenAI's answers

std::string_view finish_text(FinishReason reason) {
  return reason == FinishReason::kLength ? "length" : "stop";
}

OrderedJson usage_json(const Usage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.completion_tokens},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens},
          {"prompt_tokens_details", {{"cached_tokens", usage.cached_tokens}}}};
}

OrderedJson timings_json(const engine::Timings& timings, const Usage& usage) {
  const auto ms = [](std::int64_t ns) { return static_cast<double>(ns) * 1e-6; };
  // The first token belongs to the prefill.
  const std::int64_t decoded = std::max<std::int64_t>(0, usage.completion_tokens - 1);
  const auto per_s = [](std::int64_t tokens, std::int64_t ns) {
    return ns > 0 ? static_cast<double>(tokens) * 1e9 / static_cast<double>(ns) : 0.0;
  };
  return {
      {"queued_ms", ms(timings.queued_ns)},
      {"prefill_ms", ms(timings.prefill_ns)},
      {"decode_ms", ms(timings.decode_ns)},
      {"ttft_ms", ms(timings.queued_ns + timings.prefill_ns)},
      {"prompt_tokens_per_s", per_s(usage.prompt_tokens - usage.cached_tokens, timings.prefill_ns)},
      {"tokens_per_s", per_s(decoded, timings.decode_ns)}};
}

OrderedJson bytes_json(const std::string& bytes) {
  OrderedJson list = OrderedJson::array();
  for (const char c : bytes) list.push_back(static_cast<unsigned char>(c));
  return list;
}

OrderedJson token_json(const TokenText& token) {
  return {{"token", token.bytes},  // dump_json makes what is not UTF-8 valid
          {"logprob", std::max(token.logprob, kLogprobMin)},
          {"bytes", bytes_json(token.bytes)}};
}

OrderedJson chat_logprobs(const std::vector<TokenInfo>& tokens) {
  OrderedJson content = OrderedJson::array();
  for (const TokenInfo& info : tokens) {
    OrderedJson entry = token_json(info.token);
    entry["top_logprobs"] = OrderedJson::array();
    for (const TokenText& other : info.top) entry["top_logprobs"].push_back(token_json(other));
    content.push_back(std::move(entry));
  }
  return {{"content", std::move(content)}, {"refusal", nullptr}};
}

std::int64_t code_points(const std::string& text) {
  return std::count_if(text.begin(), text.end(),
                       [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
}

// A part of a code point is no text, and different ones must stay different keys: as in OpenAI's
// old answers, their bytes are spelt out.
std::string old_name(const std::string& bytes) {
  if (net::is_valid_utf8(bytes)) return bytes;
  std::string out = "bytes:";
  for (const char c : bytes) out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  return out;
}

// `offset`: of the first token in the choice's text, in code points; moved on.
OrderedJson completion_logprobs(const std::vector<TokenInfo>& tokens, std::int64_t& offset) {
  OrderedJson names = OrderedJson::array();
  OrderedJson values = OrderedJson::array();
  OrderedJson tops = OrderedJson::array();
  OrderedJson offsets = OrderedJson::array();
  for (const TokenInfo& info : tokens) {
    const std::string name = old_name(info.token.bytes);
    names.push_back(name);
    values.push_back(std::max(info.token.logprob, kLogprobMin));
    OrderedJson top = OrderedJson::object();
    // Different tokens may have the same text: the better one stays.
    for (const TokenText& other : info.top) {
      const std::string other_name = old_name(other.bytes);
      if (!top.contains(other_name)) top[other_name] = std::max(other.logprob, kLogprobMin);
    }
    if (!top.contains(name)) top[name] = std::max(info.token.logprob, kLogprobMin);
    tops.push_back(std::move(top));
    offsets.push_back(offset);
    offset += code_points(info.token.bytes);
  }
  return {{"tokens", std::move(names)},
          {"token_logprobs", std::move(values)},
          {"top_logprobs", std::move(tops)},
          {"text_offset", std::move(offsets)}};
}

class GenerateFormatter final : public Formatter {
 public:
  std::vector<OrderedJson> opening() override { return {}; }
  OrderedJson text(int, const Delta& delta) override { return {{"text", delta.text}}; }
  std::optional<OrderedJson> finish(int, FinishReason reason) override {
    reason_ = reason;
    return std::nullopt;  // goes with the closing object
  }
  std::optional<OrderedJson> closing(const Usage& usage, const engine::Timings& timings) override {
    return document("", reason_, usage, timings);
  }
  OrderedJson whole(const std::vector<FinishedChoice>& choices, const Usage& usage,
                    const engine::Timings& timings) override {
    return document(choices.front().text, choices.front().finish, usage, timings);
  }

 private:
  static OrderedJson document(const std::string& text, FinishReason reason, const Usage& usage,
                              const engine::Timings& timings) {
    return {{"text", text},
            {"finish_reason", finish_text(reason)},
            {"usage", usage_json(usage)},
            {"timings", timings_json(timings, usage)}};
  }
  FinishReason reason_ = FinishReason::kStop;
};

class OpenAiFormatter : public Formatter {
 public:
  OpenAiFormatter(AnswerInfo info, const char* whole_object, const char* chunk_object)
      : info_(std::move(info)), whole_object_(whole_object), chunk_object_(chunk_object) {}

  std::optional<OrderedJson> closing(const Usage& usage, const engine::Timings&) override {
    if (!info_.include_usage) return std::nullopt;
    OrderedJson document = envelope(chunk_object_, OrderedJson::array());
    document["usage"] = usage_json(usage);
    return document;
  }

  OrderedJson whole(const std::vector<FinishedChoice>& choices, const Usage& usage,
                    const engine::Timings&) override {
    OrderedJson list = OrderedJson::array();
    for (std::size_t i = 0; i < choices.size(); ++i) {
      list.push_back(whole_choice(static_cast<int>(i), choices[i]));
    }
    OrderedJson document = envelope(whole_object_, std::move(list));
    document["usage"] = usage_json(usage);
    return document;
  }

 protected:
  virtual OrderedJson whole_choice(int index, const FinishedChoice& choice) = 0;

  OrderedJson chunk(OrderedJson choice) {
    OrderedJson list = OrderedJson::array();
    list.push_back(std::move(choice));
    OrderedJson document = envelope(chunk_object_, std::move(list));
    if (info_.include_usage) document["usage"] = nullptr;
    return document;
  }

  const AnswerInfo info_;

 private:
  OrderedJson envelope(const char* object, OrderedJson choices) const {
    return {{"id", info_.id},
            {"object", object},
            {"created", info_.created},
            {"model", info_.model},
            {"choices", std::move(choices)}};
  }

  const char* const whole_object_;
  const char* const chunk_object_;
};

class ChatFormatter final : public OpenAiFormatter {
 public:
  explicit ChatFormatter(AnswerInfo info)
      : OpenAiFormatter(std::move(info), "chat.completion", "chat.completion.chunk") {}

  std::vector<OrderedJson> opening() override {
    std::vector<OrderedJson> chunks;
    for (int i = 0; i < info_.choices; ++i) {
      chunks.push_back(
          chunk(choice(i, {{"role", "assistant"}, {"content", ""}}, nullptr, nullptr)));
    }
    return chunks;
  }
  OrderedJson text(int index, const Delta& delta) override {
    return chunk(choice(index, {{"content", delta.text}},
                        info_.logprobs ? chat_logprobs(delta.tokens) : OrderedJson(nullptr),
                        nullptr));
  }
  std::optional<OrderedJson> finish(int index, FinishReason reason) override {
    return chunk(choice(index, OrderedJson::object(), nullptr, finish_text(reason)));
  }

 private:
  static OrderedJson choice(int index, OrderedJson delta, OrderedJson logprobs,
                            OrderedJson finish) {
    return {{"index", index},
            {"delta", std::move(delta)},
            {"logprobs", std::move(logprobs)},
            {"finish_reason", std::move(finish)}};
  }
  OrderedJson whole_choice(int index, const FinishedChoice& choice) override {
    return {{"index", index},
            {"message", {{"role", "assistant"}, {"content", choice.text}, {"refusal", nullptr}}},
            {"logprobs", info_.logprobs ? chat_logprobs(choice.tokens) : OrderedJson(nullptr)},
            {"finish_reason", finish_text(choice.finish)}};
  }
};

class CompletionFormatter final : public OpenAiFormatter {
 public:
  explicit CompletionFormatter(const AnswerInfo& info)
      : OpenAiFormatter(info, "text_completion", "text_completion"),
        offsets_(static_cast<std::size_t>(info.choices)) {}

  std::vector<OrderedJson> opening() override { return {}; }
  OrderedJson text(int index, const Delta& delta) override {
    return chunk(choice(index, delta.text, delta.tokens, nullptr));
  }
  std::optional<OrderedJson> finish(int index, FinishReason reason) override {
    return chunk(choice(index, "", {}, finish_text(reason)));
  }

 private:
  OrderedJson choice(int index, const std::string& text, const std::vector<TokenInfo>& tokens,
                     OrderedJson finish) {
    OrderedJson logprobs = nullptr;
    if (info_.logprobs) {
      logprobs = completion_logprobs(tokens, offsets_[static_cast<std::size_t>(index)]);
    }
    return {{"index", index},
            {"text", text},
            {"logprobs", std::move(logprobs)},
            {"finish_reason", std::move(finish)}};
  }
  OrderedJson whole_choice(int index, const FinishedChoice& finished) override {
    return choice(index, finished.text, finished.tokens, finish_text(finished.finish));
  }

  std::vector<std::int64_t> offsets_;  // per choice, in code points
};

}  // namespace

std::unique_ptr<Formatter> make_formatter(const AnswerInfo& info) {
  switch (info.kind) {
    case AnswerKind::kGenerate:
      return std::make_unique<GenerateFormatter>();
    case AnswerKind::kCompletion:
      return std::make_unique<CompletionFormatter>(info);
    case AnswerKind::kChat:
      return std::make_unique<ChatFormatter>(info);
  }
  return nullptr;
}

}  // namespace hearth::api
