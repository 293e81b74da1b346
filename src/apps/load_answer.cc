#include "apps/load_answer.h"

#include <simdjson.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/json.h"

namespace hearth::apps {
namespace dom = simdjson::dom;

namespace {

double ms_between(net::LoadTime from, net::LoadTime to) {
  return std::chrono::duration<double, std::milli>(to - from).count();
}

bool has_text(dom::object object, std::string_view key) {
  std::string_view text;
  return object[key].get(text) == simdjson::SUCCESS && !text.empty();
}

// Also what a model thinks and the tools it calls are tokens that were waited for.
bool has_tokens(dom::object choice) {
  if (has_text(choice, "text")) return true;
  dom::object delta;
  if (choice["delta"].get(delta) != simdjson::SUCCESS) return false;
  dom::array calls;
  return has_text(delta, "content") || has_text(delta, "reasoning_content") ||
         has_text(delta, "reasoning") ||
         (delta["tool_calls"].get(calls) == simdjson::SUCCESS && calls.size() > 0);
}

std::optional<std::int64_t> number_in(dom::object object, std::string_view key) {
  std::int64_t value = 0;
  if (object[key].get(value) != simdjson::SUCCESS || value < 0) return std::nullopt;
  return value;
}

// Other servers' words go to a terminal and into one line of a report.
std::string one_line(std::string_view text) {
  constexpr std::size_t kBytesMax = 300;
  std::string out(text.substr(0, kBytesMax));
  std::replace_if(
      out.begin(), out.end(),
      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, ' ');
  return text.size() > kBytesMax ? out + "..." : out;
}

// {"error":{"message":M}}, {"error":M} or {"message":M}, as the servers have it.
std::string message_in(std::string_view document) {
  const auto json = parse_json(document);
  if (!json || !json->is_object()) return {};
  const auto text = [](const Json& object, const char* key) -> std::string {
    const auto it = object.find(key);
    return it != object.end() && it->is_string() ? it->get<std::string>() : "";
  };
  const auto error = json->find("error");
  if (error != json->end() && error->is_object()) return text(*error, "message");
  if (error != json->end()) return text(*json, "error");
  return text(*json, "message");
}

std::string kind_of(std::string_view content_type) {
  return net::to_lower(content_type.substr(0, content_type.find(';')));
}

}  // namespace

struct ChunkParser::Impl {
  dom::parser parser;
};

ChunkParser::ChunkParser() : impl_(std::make_unique<Impl>()) {}
ChunkParser::~ChunkParser() = default;

void AnswerReader::read(std::string_view data, net::LoadTime at) {
  if (broken_ || data == "[DONE]") return;
  dom::object chunk;
  if (parser_.impl_->parser.parse(data.data(), data.size()).get(chunk) != simdjson::SUCCESS) {
    broken_ = {ErrorKind::kInvalid, "broken_stream", "a piece of the stream is no JSON object"};
    return;
  }
  dom::element error;
  if (chunk["error"].get(error) == simdjson::SUCCESS && !error.is_null()) {
    const std::string message = message_in(data);
    broken_ = {ErrorKind::kIo, "error_in_stream",
               message.empty() ? "the stream ends in an error" : one_line(message)};
    return;
  }
  dom::array choices;
  if (chunk["choices"].get(choices) == simdjson::SUCCESS) {
    for (const dom::element element : choices) {
      dom::object choice;
      if (element.get(choice) != simdjson::SUCCESS) continue;
      if (has_tokens(choice)) text_came(at);
      if (has_text(choice, "finish_reason")) finished_ = true;
    }
  }
  dom::object usage;
  if (chunk["usage"].get(usage) != simdjson::SUCCESS) return;
  const auto output = number_in(usage, "completion_tokens");
  if (!output) return;
  sample_.has_usage = true;
  sample_.output_tokens = *output;
  sample_.input_tokens = number_in(usage, "prompt_tokens").value_or(0);
  dom::object details;
  if (usage["prompt_tokens_details"].get(details) == simdjson::SUCCESS)
    sample_.cached_tokens = number_in(details, "cached_tokens");
}

void AnswerReader::text_came(net::LoadTime at) {
  if (chunks_++ == 0) {
    first_ = at;
  } else {
    sample_.gaps_ms.push_back(static_cast<float>(ms_between(last_, at)));
  }
  last_ = at;
}

Result<LoadSample> AnswerReader::finish(net::LoadTime sent, net::LoadTime ended) {
  if (broken_) return tl::unexpected<Error>(*broken_);
  if (!finished_) return invalid("broken_stream", "the stream ended without a reason to finish");
  if (!sample_.has_usage) sample_.output_tokens = chunks_;
  sample_.ttft_ms = ms_between(sent, chunks_ > 0 ? first_ : ended);
  sample_.total_ms = ms_between(sent, ended);
  if (chunks_ > 1 && sample_.output_tokens > 1)
    sample_.tpot_ms = ms_between(first_, last_) / static_cast<double>(sample_.output_tokens - 1);
  return std::move(sample_);
}

std::string describe_answer(const net::LoadHead& head, std::string_view document) {
  std::string out = fmt::format("the server answers {}", head.status);
  const std::string message = message_in(document);
  const std::string kind = kind_of(head.content_type);
  if (!message.empty()) {
    out += ": " + one_line(message);
  } else if (!kind.empty() && (head.status == 200 || kind != "application/json")) {
    out += " with " + one_line(kind);
    if (head.status == 200) out += ", which is not what was asked for";
  }
  return out;
}

Result<std::string> first_model_in(const net::LoadHead& head, std::string_view document) {
  if (head.status == 401 || head.status == 403)
    return fail(ErrorKind::kInvalid, "key_refused", "{} (--api-key gives a key)",
                describe_answer(head, document));
  const auto json = head.status == 200 ? parse_json(document) : Result<Json>(Json());
  if (json && json->is_object()) {
    const auto data = json->find("data");
    if (data != json->end() && data->is_array() && !data->empty() && data->front().is_object()) {
      const auto id = data->front().find("id");
      if (id != data->front().end() && id->is_string()) return id->get<std::string>();
    }
    if (data != json->end() && data->is_array() && data->empty())
      return fail(ErrorKind::kNotFound, "no_model", "the server has no model");
  }
  return invalid("not_openai", "{}; is it a server with the OpenAI API?",
                 describe_answer(head, document));
}

}  // namespace hearth::apps
