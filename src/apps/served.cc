#include "apps/served.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/cpu.h"
#include "base/log.h"

namespace hearth::apps {

namespace {

// Repacked weights take at most 1.15 of what they take in the file (docs/adr), float32 ones four
// bytes each; besides them activations, tokenizer and threads.
constexpr std::int64_t kBesidesBytes = 64 << 20;

Status check_memory(const model::ModelSource& source, const ModelOptions& options) {
  double weights = 0;
  for (const TensorView& tensor : source.weights->tensors()) {
    const double stored = 1.15 * static_cast<double>(tensor.data.size());
    const double exact = 4.0 * static_cast<double>(tensor.elems());
    weights += options.precision == "f32" ? std::max(stored, exact) : stored;
  }
  const std::int64_t wanted =
      static_cast<std::int64_t>(weights) + kBesidesBytes + (options.cache_mib << 20);
  const std::int64_t there = available_memory();
  if (wanted <= there) return {};
  return fail(ErrorKind::kExhausted, "out_of_memory",
              "{} needs about {} MiB of memory: {} for its weights, the rest for keys, values and "
              "activations; {} MiB are available",
              source.name, wanted >> 20, static_cast<std::int64_t>(weights) >> 20, there >> 20);
}

}  // namespace

Result<api::ServedModel> load_served(const ServedOptions& options, engine::EngineReaper& reaper,
                                     std::function<void()> on_failure) {
  const auto begun = std::chrono::steady_clock::now();
  api::ServedModel served;
  HEARTH_TRY(model::ModelSource source, open_model(options.model));
  HEARTH_TRY_VOID(check_memory(source, options));
  served.id = options.id.empty() ? source.name : options.id;
  HEARTH_TRY(served.chat_template, chat_template(source, options.chat_template));
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
  served.weight_bytes = model->backend().weight_bytes();
  HEARTH_TRY(auto engine, start_engine(std::move(model), options, std::move(on_failure)));
  served.cache_bytes = engine->cache_bytes();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
  log::info(
      "{} on {}: {} MiB of weights, context {}, {} MiB for keys and values, loaded in {:.2f} s",
      served.id, device, served.weight_bytes >> 20, engine->limits().context,
      served.cache_bytes >> 20, took.count());
  served.engine = reaper.adopt(std::move(engine));
  return served;
}

}  // namespace hearth::apps
