#include "api/text_service.h"

#include <algorithm>

#include "text/detokenizer.h"

namespace hearth::api {
namespace {

tl::unexpected<Error> too_long(const ServedModel& model) {
  return invalid("context_length_exceeded",
                 "the prompt does not fit into the model's context of {} tokens",
                 model.engine->limits().context);
}

// A token stands for at most as many bytes as its entry in the vocabulary is long (in the forms
// that vocabularies are stored in, a byte takes one character or more); 4 for a code point without
// one.
std::size_t longest_token(const text::Tokenizer& tokenizer) {
  std::size_t longest = 4;
  for (const std::string& token : tokenizer.data().tokens) {
    longest = std::max(longest, token.size());
  }
  return longest;
}

Status check_bytes(const ServedModel& model, std::size_t bytes) {
  const auto context =
      static_cast<std::size_t>(std::max<std::int64_t>(0, model.engine->limits().context));
  if (bytes <= context) return {};  // the usual case, without a look at the whole vocabulary
  if (bytes / longest_token(*model.tokenizer) > context) return too_long(model);
  return {};
}

Status require_tokenizer(const ServedModel& model) {
  if (model.tokenizer) return {};
  return invalid("no_tokenizer", "model {} has no tokenizer: send token ids", model.id);
}

}  // namespace

Status check_prompt_length(const ServedModel& model, std::size_t tokens) {
  if (static_cast<std::int64_t>(tokens) + 1 > model.engine->limits().context) {
    return invalid("context_length_exceeded",
                   "the prompt has {} tokens, the model's context takes {} with the answer", tokens,
                   model.engine->limits().context);
  }
  return {};
}

Result<std::vector<engine::TokenId>> encode_prompt(const ServedModel& model,
                                                   const std::string& text) {
  HEARTH_TRY_VOID(require_tokenizer(model));
  HEARTH_TRY_VOID(check_bytes(model, text.size()));
  const text::TextPiece piece{text, false};
  return model.tokenizer->encode({&piece, 1}, true);
}

Result<std::vector<engine::TokenId>> encode_chat(const ServedModel& model,
                                                 const OrderedJson& messages) {
  HEARTH_TRY_VOID(require_tokenizer(model));
  if (!model.chat_template) {
    return invalid("no_chat_template", "model {} has no chat template: use /generate", model.id);
  }
  std::size_t bytes = 0;
  for (const OrderedJson& message : messages) {
    bytes += message["content"].get_ref<const std::string&>().size();
  }
  HEARTH_TRY_VOID(check_bytes(model, bytes));
  OrderedJson variables;
  variables["messages"] = messages;
  variables["add_generation_prompt"] = true;
  variables["bos_token"] = model.bos_token;
  variables["eos_token"] = model.eos_token;
  HEARTH_TRY(std::vector<text::TextPiece> pieces,
             model.chat_template->render(variables, {"bos_token", "eos_token"}));
  // Templates that mention BOS write it themselves; with the others the tokenizer does as it always
  // does.
  std::string start;
  for (const text::TextPiece& piece : pieces) {
    if (start.size() >= model.bos_token.size()) break;
    start += piece.text;
  }
  const bool has_bos = !model.bos_token.empty() && start.starts_with(model.bos_token);
  const bool mentions =
      model.tokenizer->data().chat_template.find("bos_token") != std::string::npos;
  return model.tokenizer->encode(pieces, !has_bos && !mentions);
}

Result<std::string> decode(const ServedModel& model, const std::vector<engine::TokenId>& tokens) {
  HEARTH_TRY_VOID(require_tokenizer(model));
  const auto vocab = static_cast<engine::TokenId>(model.tokenizer->data().tokens.size());
  text::Detokenizer detokenizer(model.tokenizer);
  std::string out;
  for (const engine::TokenId id : tokens) {
    if (id < 0 || id >= vocab) return invalid("invalid_prompt", "a token id is out of range");
    out += detokenizer.push(id);
  }
  return out + detokenizer.finish();
}

}  // namespace hearth::api
