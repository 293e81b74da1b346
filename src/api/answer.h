// A generation's output as an HTTP answer: one document, or a stream of server-sent events that
// ends with "[DONE]", or with an `error` event if it fails after the first byte. The stream begins
// with the first text, or after `keep_alive_interval` without any; an error before that still has
// a status of its own.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string_view>

#include "api/format.h"
#include "api/generation.h"
#include "net/responder.h"

namespace hearth::api {

// `on_stream_error` gets the code of an error that is told in the middle of a stream.
std::unique_ptr<GenerationOutput> make_answer(
    const AnswerInfo& info, net::Responder responder, std::chrono::milliseconds keep_alive_interval,
    std::function<void(std::string_view code)> on_stream_error);

}  // namespace hearth::api
