// Request documents: every route's schema refuses in words or gives values in their ranges.
#include <cstddef>
#include <cstdint>
#include <string>

#include "api/schema.h"

namespace {

using namespace hearth;

void check_error(const api::ApiError& error) {
  HEARTH_CHECK(!error.error.code.empty() && !error.error.message.empty());
  HEARTH_CHECK(parse_json(dump_json(Json(error.error.message))).has_value());  // valid UTF-8
}

template <class T>
bool refused(const api::Parsed<T>& parsed) {
  if (!parsed) check_error(parsed.error());
  return !parsed;
}

void check_params(const api::GenerationParams& params) {
  const engine::SamplingParams& s = params.sampling;
  HEARTH_CHECK(s.temperature >= 0.f && s.temperature <= 100.f);
  HEARTH_CHECK(s.top_p > 0.f && s.top_p <= 1.f && s.min_p >= 0.f && s.min_p <= 1.f);
  HEARTH_CHECK(s.top_k >= 0 && s.repetition_penalty > 0.f);
  HEARTH_CHECK(s.top_logprobs >= -1 && s.top_logprobs <= api::RequestLimits().top_logprobs_max);
  HEARTH_CHECK(s.logit_bias.size() <= api::RequestLimits().logit_bias_entries_max);
  HEARTH_CHECK(params.choices >= 1 && params.choices <= api::RequestLimits().choices_max);
  HEARTH_CHECK(!params.max_tokens || *params.max_tokens >= 1);
  HEARTH_CHECK(params.stop.size() <= api::RequestLimits().stop_strings_max);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  net::HttpRequest request;
  request.body.assign(reinterpret_cast<const char*>(bytes), size);
  const auto document = api::read_document(request, true);
  if (refused(document)) return 0;
  if (const auto call = api::parse_generate(*document); !refused(call)) check_params(call->params);
  if (const auto call = api::parse_completion(*document); !refused(call))
    check_params(call->params);
  if (const auto call = api::parse_chat(*document); !refused(call)) {
    check_params(call->params);
    for (const OrderedJson& message : call->messages)
      HEARTH_CHECK(message["role"].is_string() && message["content"].is_string());
  }
  refused(api::parse_embedding(*document));
  refused(api::parse_tokenize(*document));
  if (const auto call = api::parse_detokenize(*document); !refused(call))
    for (const engine::TokenId id : call->tokens) HEARTH_CHECK(id >= 0);
  return 0;
}
