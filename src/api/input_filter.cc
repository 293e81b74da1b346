#include "api/input_filter.h"

#include "api/text_service.h"
#include "base/fault_point.h"

namespace hearth::api {
namespace {

tl::unexpected<Error> refused() {
  return invalid("content_filter", "the prompt contains what this server does not take");
}

}  // namespace

Result<std::string> InputFilter::masked(const std::string& text) const {
  if (FAULT_POINT("input_filter"))
    return fail(ErrorKind::kInternal, "filter_failed", "the filter of prompts failed");
  std::vector<security::Match> matches;
  std::string out = security::redact(policy_, text, &matches);
  bool blocked = false;
  for (const security::Match& match : matches) {
    if (match.continues) continue;
    metrics_->redacted(policy_->name(match.type), name_of(match.action), "input");
    blocked = blocked || match.action == security::RedactionAction::kBlock;
  }
  if (blocked) return refused();
  return out;
}

Status InputFilter::text(std::string& text) const {
  if (!policy_ || !policy_->filters_input()) return {};
  HEARTH_TRY(text, masked(text));
  return {};
}

Status InputFilter::messages(OrderedJson& messages) const {
  if (!policy_ || !policy_->filters_input()) return {};
  for (OrderedJson& message : messages) {
    for (const char* field : {"content", "name"}) {
      if (!message.contains(field) || !message[field].is_string()) continue;
      HEARTH_TRY(message[field], masked(message[field].get_ref<const std::string&>()));
    }
  }
  return {};
}

Status InputFilter::tokens(const std::vector<engine::TokenId>& tokens) const {
  if (!policy_ || !policy_->filters_input() || !model_.tokenizer) return {};
  HEARTH_TRY(const std::string text, decode(model_, tokens));
  HEARTH_TRY(const std::string shown, masked(text));
  if (shown != text) return refused();
  return {};
}

Error without_hidden(const Redaction& policy, Error error) {
  if (policy) error.message = security::redact(policy, error.message);
  return error;
}

}  // namespace hearth::api
