// hearth logits: what the model predicts after each token.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>

#include "apps/commands.h"
#include "apps/model_options.h"
#include "base/log.h"
#include "engine/score.h"

namespace hearth::apps {
namespace {

struct Options : ModelOptions {
  std::string tokens;
  std::int64_t top = 10;
  bool json = false;
};

// JSON has no infinity: such a logit cannot be told, and is an error before this.
std::string number(float x) { return fmt::format("{:.9g}", x); }

Status logits(const Options& options) {
  HEARTH_TRY_VOID(lock_in(options.model, {options.tokens}));
  log::set_level("off");  // one line tells what went wrong
  HEARTH_TRY(const auto tokens, read_tokens(options.tokens));
  HEARTH_TRY(const auto model, load_model(options));
  std::string top;  // "[[id,logit],...],[...]"
  std::string sums;
  std::string table;
  bool finite = true;
  std::vector<std::int32_t> order;
  HEARTH_TRY_VOID(engine::score(
      *model, tokens, options.context, [&](std::int64_t position, std::span<const float> row) {
        finite =
            finite && std::all_of(row.begin(), row.end(), [](float x) { return std::isfinite(x); });
        order.resize(row.size());
        std::iota(order.begin(), order.end(), 0);
        const auto n = std::min(options.top, static_cast<std::int64_t>(row.size()));
        std::partial_sort(order.begin(), order.begin() + n, order.end(),
                          [&](std::int32_t a, std::int32_t b) {
                            const float x = row[static_cast<std::size_t>(a)];
                            const float y = row[static_cast<std::size_t>(b)];
                            return x != y ? x > y : a < b;
                          });
        top += position ? ",[" : "[";
        table += fmt::format("{:>6}", position);
        for (std::int64_t i = 0; i < n; ++i) {
          const std::int32_t id = order[static_cast<std::size_t>(i)];
          const std::string value = number(row[static_cast<std::size_t>(id)]);
          top += fmt::format("{}[{},{}]", i ? "," : "", id, value);
          table += fmt::format("  {}:{}", id, value);
        }
        top += "]";
        table += "\n";
        sums += (position ? "," : "") + number(model->backend().logsumexp(row));
      }));
  if (!finite)
    return fail(ErrorKind::kInternal, "numeric_error", "the model's output is not finite");
  print(options.json ? "{\"top\":[" + top + "],\"logsumexp\":[" + sums + "]}\n" : table);
  return {};
}

}  // namespace

void add_logits(CLI::App& root) {
  auto options = std::make_shared<Options>();
  CLI::App* command = root.add_subcommand("logits", "What the model predicts after each token");
  add_model_options(*command, *options);
  command->add_option("--tokens", options->tokens, "A JSON array of token ids")->required();
  command->add_option("--top", options->top, "How many per position; the vocabulary or more: all")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 40));
  command->add_flag("--json", options->json, "One JSON document");
  command->callback([options] { finish_command(logits(*options)); });
}

}  // namespace hearth::apps
