#include "apps/served.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <mutex>
#include <new>
#include <optional>
#include <system_error>
#include <utility>

#include "backend/machine.h"
#include "base/cpu.h"
#include "base/fault_point.h"
#include "base/log.h"
#include "model/token_cost.h"
#include "ops/engine_tuner.h"

namespace hearth::apps {
namespace {

// Repacked weights take at most 1.15 of what they take in the file (docs/adr), float32 ones four
// bytes each; besides them activations, tokenizer, threads and, while they load, what was read
// ahead.
constexpr std::int64_t kBesidesBytes = 64 << 20;

MemoryNeed need_of(const model::ModelSource& source, const ModelOptions& options) {
  double weights = 0;
  for (const TensorView& tensor : source.weights->tensors()) {
    const double stored = 1.15 * static_cast<double>(tensor.data.size());
    const double exact = 4.0 * static_cast<double>(tensor.elems());
    weights += options.precision == "f32" ? std::max(stored, exact) : stored;
  }
  return {static_cast<std::int64_t>(weights), kBesidesBytes + (options.cache_mib << 20)};
}

// What `work` makes; where memory or threads run out meanwhile, an error. Other models are at work
// in this process, and they go on.
template <class Work>
auto contained(const std::string& name, Work work) -> decltype(work()) {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    return fail(ErrorKind::kExhausted, "out_of_memory",
                "there was no memory left while {} was loaded", name);
  } catch (const std::system_error& error) {
    // What std::thread throws, and nothing else that has this type.
    if (error.code() != std::errc::resource_unavailable_try_again) throw;
    return fail(ErrorKind::kExhausted, "no_threads",
                "no thread can be had for {}: the process is at its limit", name);
  }
}

// Measured when the first model is loaded, before it is: nothing else is at work then.
Result<backend::MachinePeaks> machine_peaks(int threads) {
  static std::mutex mutex;
  static std::optional<backend::MachinePeaks> peaks;
  const std::lock_guard lock(mutex);
  if (!peaks) {
    HEARTH_TRY(peaks, backend::measure_peaks(threads, 3, 48 << 20));
  }
  return *peaks;
}

engine::UnitTimes unit_times(const model::Model& model, const backend::MachinePeaks& peaks) {
  const model::TokenCost cost = model::token_cost(model);
  const double byte_s = 1e-9 / peaks.read_gb_s;
  return {.row_s = cost.layers.seconds(peaks),
          .logit_row_s = cost.head.seconds(peaks),
          .context_s = cost.attention / peaks.float_tops / 1e12,
          .pass_s = cost.bytes_read * byte_s,
          .kv_byte_s = byte_s};
}

Status set_tuner(const ServedOptions& options, const std::string& id,
                 const engine::UnitTimes& units, engine::EngineOptions& out) {
  if (options.tuner == "off") return {};
  ops::TunerBounds bounds;
  bounds.running_max = out.running_max;
  bounds.prompt_rows_max = out.batch_tokens_max;
  bounds.prompt_rows_min = std::min(bounds.prompt_rows_min, out.batch_tokens_max);
  HEARTH_TRY(
      ops::Tuner tuner,
      ops::Tuner::create(options.tuner == "rule" ? ops::TunerMode::kRule : ops::TunerMode::kSlo,
                         bounds, {options.target_tpot_ms, options.target_ttft_ms}));
  // Half of the peaks is what a step reaches about.
  constexpr double kMs = 2 * 1e3;
  tuner.expect(kMs * (units.pass_s + units.logit_row_s), kMs * units.row_s);
  out.limits = {tuner.limits().running, tuner.limits().prompt_rows};
  out.tune = ops::tune_engine(std::move(tuner), id);
  return {};
}

Result<api::ServedModel> load(OpenedModel opened, engine::EngineReaper& reaper,
                              std::function<void()> on_failure) {
  const auto begun = std::chrono::steady_clock::now();
  api::ServedModel served = std::move(opened.served);
  if (FAULT_POINT("model.load")) throw std::bad_alloc();
  HEARTH_TRY(const auto peaks, machine_peaks(opened.options.threads));
  engine::EngineOptions options = engine_options(opened.options);
  HEARTH_TRY(auto model, load_model(std::move(opened.source), opened.options));
  const std::string device = model->backend().describe();
  served.weight_bytes = model->backend().weight_bytes();
  HEARTH_TRY(options.draft, load_draft(opened.options, *model));
  if (options.draft) served.weight_bytes += options.draft->backend().weight_bytes();
  options.unit_times = unit_times(*model, peaks);
  HEARTH_TRY_VOID(set_tuner(opened.options, served.id, options.unit_times, options));
  options.on_failure = std::move(on_failure);
  HEARTH_TRY(auto engine, engine::LocalEngine::create(std::move(model), options));
  served.cache_bytes = engine->cache_bytes();
  served.created = std::chrono::duration_cast<std::chrono::seconds>(
                       std::chrono::system_clock::now().time_since_epoch())
                       .count();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
  log::info(
      "{} on {}: {} MiB of weights, context {}, {} MiB for keys and values, loaded in {:.2f} s",
      served.id, device, served.weight_bytes >> 20, engine->limits().context,
      served.cache_bytes >> 20, took.count());
  served.engine = reaper.adopt(std::move(engine));
  return served;
}

Result<OpenedModel> open(const ServedOptions& options) {
  OpenedModel opened;
  opened.options = options;
  HEARTH_TRY(opened.source, open_model(options.model));
  const model::ModelSource& source = opened.source;
  HEARTH_TRY_VOID(source.config());
  opened.need = need_of(source, options);
  if (!options.draft_model.empty()) {
    HEARTH_TRY(const model::ModelSource draft, open_model(options.draft_model));
    HEARTH_TRY_VOID(draft.config());
    opened.need.weights += need_of(draft, options).weights;
  }
  api::ServedModel& served = opened.served;
  served.id = options.id.empty() ? source.name : options.id;
  HEARTH_TRY(served.chat_template, chat_template(source, options.chat_template));
  if (source.tokenizer) {
    HEARTH_TRY(served.tokenizer, make_model_tokenizer(source));
    served.bos_token = served.tokenizer->data().text_of(served.tokenizer->data().bos);
    served.eos_token = served.tokenizer->data().text_of(served.tokenizer->data().eos);
  }
  return opened;
}

}  // namespace

Result<OpenedModel> open_served(const ServedOptions& options) {
  const std::string name = std::filesystem::path(options.model).filename().string();
  return contained(name, [&] { return open(options); });
}

Status check_room(const std::string& name, const MemoryNeed& need, std::int64_t available) {
  if (need.total() <= available) return {};
  return fail(ErrorKind::kExhausted, "out_of_memory",
              "{} needs about {} MiB of memory: {} for its weights, the rest for keys, values and "
              "activations; {} MiB are available",
              name, need.total() >> 20, need.weights >> 20, available >> 20);
}

Result<api::ServedModel> load_served(OpenedModel opened, engine::EngineReaper& reaper,
                                     std::function<void()> on_failure) {
  const std::string id = opened.served.id;
  HEARTH_TRY_VOID(check_room(opened.source.name, opened.need, available_memory()));
  return contained(id, [&] { return load(std::move(opened), reaper, std::move(on_failure)); });
}

Result<api::ServedModel> load_served(const ServedOptions& options, engine::EngineReaper& reaper,
                                     std::function<void()> on_failure) {
  HEARTH_TRY(OpenedModel opened, open_served(options));
  return load_served(std::move(opened), reaper, std::move(on_failure));
}

}  // namespace hearth::apps
