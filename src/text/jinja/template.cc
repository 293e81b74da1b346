#include "text/jinja/template.h"

#include "text/jinja/ast.h"
#include "text/jinja/context.h"
#include "text/jinja/evaluator.h"
#include "text/jinja/parser.h"

namespace hearth::text::jinja {
namespace {

class ParsedTemplate final : public Template {
 public:
  explicit ParsedTemplate(std::unique_ptr<const Ast> ast) : ast_(std::move(ast)) {}

  Result<std::vector<TextPiece>> render(const OrderedJson& variables,
                                        const std::vector<std::string_view>& trusted_keys,
                                        const Budget& budget) const override {
    Context context(budget);
    Evaluator evaluator(*ast_, context);
    return evaluator.render(variables, trusted_keys);
  }

 private:
  std::unique_ptr<const Ast> ast_;
};

}  // namespace

Result<std::shared_ptr<const Template>> parse(std::string_view source, const Budget& budget) {
  if (source.size() > static_cast<std::size_t>(budget.source_bytes_max)) {
    return invalid("template_syntax", "the template is longer than {} bytes",
                   budget.source_bytes_max);
  }
  if (!is_valid_utf8(source)) return invalid("template_syntax", "the template is not valid UTF-8");
  auto ast = std::make_unique<Ast>();
  ast->source = normalise_newlines(source);
  Parser parser(*ast, budget);
  HEARTH_TRY_VOID(parser.parse());
  return std::make_shared<const ParsedTemplate>(std::move(ast));
}

}  // namespace hearth::text::jinja
