#include "apps/served.h"

#include <chrono>
#include <utility>

#include "base/log.h"

namespace hearth::apps {

Result<api::ServedModel> load_served(const ModelOptions& options,
                                     const std::string& chat_template_file) {
  const auto begun = std::chrono::steady_clock::now();
  api::ServedModel served;
  HEARTH_TRY(model::ModelSource source, open_model(options.model));
  served.id = source.name;
  HEARTH_TRY(served.chat_template, chat_template(source, chat_template_file));
  if (source.tokenizer) {
    HEARTH_TRY(served.tokenizer, make_model_tokenizer(source));
    served.bos_token = served.tokenizer->data().text_of(served.tokenizer->data().bos);
    served.eos_token = served.tokenizer->data().text_of(served.tokenizer->data().eos);
  }
  served.created = std::chrono::duration_cast<std::chrono::seconds>(
                       std::chrono::system_clock::now().time_since_epoch())
                       .count();
  HEARTH_TRY(auto model, load_model(std::move(source), options));
  const std::string device = model->backend().describe();
  const std::int64_t weights = model->backend().weight_bytes();
  HEARTH_TRY(auto engine, start_engine(std::move(model), options));
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
  log::info(
      "{} on {}: {} MiB of weights, context {}, {} MiB for keys and values, loaded in {:.2f} s",
      served.id, device, weights >> 20, engine->limits().context, engine->cache_bytes() >> 20,
      took.count());
  served.engine = std::move(engine);
  return served;
}

}  // namespace hearth::apps
