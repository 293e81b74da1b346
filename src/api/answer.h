// A generation's output as an HTTP answer: one document, or a stream of server-sent events that
// ends with "[DONE]", or with an `error` event if it fails after the first byte.
#pragma once

#include <memory>

#include "api/format.h"
#include "api/generation.h"
#include "net/responder.h"

namespace hearth::api {

std::unique_ptr<GenerationOutput> make_answer(const AnswerInfo& info, net::Responder responder);

}  // namespace hearth::api
