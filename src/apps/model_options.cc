#include "apps/model_options.h"

#include <CLI/CLI.hpp>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <optional>
#include <utility>

#include "apps/commands.h"
#include "base/json.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "store/store.h"

namespace hearth::apps {
namespace {

// Hands events from the engine's thread to the waiting one.
class Mailbox final : public engine::EventSink {
 public:
  void on_event(engine::Event event) override {
    {
      const std::lock_guard lock(mutex_);
      events_.push_back(std::move(event));
    }
    ready_.notify_one();
  }
  // None after a moment without one.
  std::optional<engine::Event> next() {
    std::unique_lock lock(mutex_);
    if (!ready_.wait_for(lock, std::chrono::milliseconds(50), [this] { return !events_.empty(); }))
      return std::nullopt;
    engine::Event event = std::move(events_.front());
    events_.pop_front();
    return event;
  }

 private:
  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<engine::Event> events_;
};

backend::CpuOptions backend_options(const ModelOptions& options) {
  backend::CpuOptions out;
  out.threads = options.threads;
  out.precision =
      options.precision == "f32" ? backend::Precision::kF32 : backend::Precision::kDefault;
  out.kv_type = options.kv_type == "int8"   ? backend::KvCacheType::kInt8
                : options.kv_type == "bf16" ? backend::KvCacheType::kBF16
                : options.kv_type == "f16"  ? backend::KvCacheType::kF16
                                            : backend::KvCacheType::kAuto;
  return out;
}

}  // namespace

void add_model_options(CLI::App& command, ModelOptions& options, bool positional) {
  if (positional)
    command.add_option("MODEL", options.model, "A .gguf file, a Hugging Face folder or a name")
        ->required();
  command.add_option("--threads", options.threads, "Compute threads; 0: all cores at hand")
      ->check(CLI::Range(0, 1024));
  command
      .add_option("--precision", options.precision,
                  "default, or f32: exact and slow, cache included")
      ->check(CLI::IsMember({"default", "f32"}));
  command.add_option("--ctx", options.context, "Tokens of context; 0: the model's, at most 8192")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 24));
  command
      .add_option("--kv-type", options.kv_type,
                  "How keys and values are kept: auto, f16, bf16, int8")
      ->check(CLI::IsMember({"auto", "f16", "bf16", "int8"}));
  command.add_option("--max-batch-tokens", options.batch_tokens_max, "Tokens computed per step")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 20));
}

void add_speculation_options(CLI::App& command, ModelOptions& options) {
  command
      .add_option("--speculation", options.speculation,
                  "Tokens guessed from what was said before and computed together, where that "
                  "pays; the text is the same: auto, off")
      ->check(CLI::IsMember({"auto", "off"}));
  command.add_option("--draft-model", options.draft_model,
                     "A smaller model with the same tokens, which guesses too: as MODEL");
}

Result<model::ModelSource> open_model(const std::string& model) {
  HEARTH_TRY(const store::Store store, store::Store::open_default());
  HEARTH_TRY(const std::string path, store.resolve_model(model));
  return model::open_source(path);
}

namespace {

// Where the files of a model lie.
void add_folders(const std::string& model_path, std::vector<std::string>& readable) {
  namespace fs = std::filesystem;
  std::error_code error;  // what cannot be resolved gets no permission
  const fs::path real = fs::weakly_canonical(model_path, error);
  // Parts of a split file lie beside the first one.
  const fs::path folder = fs::is_directory(real, error) ? real : real.parent_path();
  readable.push_back(folder.string());
  readable.push_back(fs::path(model_path).parent_path().string());
  // A download cache keeps the files elsewhere and links to them.
  for (const auto& entry : fs::directory_iterator(folder, error))
    if (entry.is_symlink(error))
      readable.push_back(fs::weakly_canonical(entry.path(), error).string());
}

}  // namespace

Status lock_in(const std::string& model, std::vector<std::string> also_readable) {
  return lock_in(std::vector<std::string>{model}, std::move(also_readable), Network::kNone);
}

Status lock_in(const std::vector<std::string>& models, std::vector<std::string> also_readable,
               Network network) {
  HEARTH_TRY(const store::Store store, store::Store::open_default());
  for (const std::string& model : models)
    if (const auto path = store.resolve_model(model)) add_folders(*path, also_readable);
  for (const char* system : {"/proc", "/sys/fs/cgroup", "/sys/devices/system/cpu",
                             "/sys/devices/system/node", "/dev/urandom"})
    also_readable.emplace_back(system);
  also_readable.push_back(store.root());
  auto state = enter_sandbox({std::move(also_readable), network == Network::kListens});
  if (!state) return tl::unexpected<Error>(state.error());
  if (*state == SandboxState::kNone)
    log::warn(
        "this system takes no system-call filter: the model's files are read without a sandbox");
  if (*state == SandboxState::kNoLandlock)
    log::debug("this kernel has no Landlock: files are not restricted");
  return {};
}

Result<std::shared_ptr<const model::Model>> load_model(model::ModelSource source,
                                                       const ModelOptions& options) {
  HEARTH_TRY(auto backend, backend::make_cpu_backend(backend_options(options)));
  HEARTH_TRY(auto model, model::Model::load(std::move(source), std::move(backend)));
  return std::shared_ptr<const model::Model>(std::move(model));
}

Result<std::shared_ptr<const model::Model>> load_model(const ModelOptions& options) {
  HEARTH_TRY(auto source, open_model(options.model));
  return load_model(std::move(source), options);
}

Result<std::shared_ptr<const model::Model>> load_draft(const ModelOptions& options,
                                                       const model::Model& target) {
  if (options.draft_model.empty()) return nullptr;
  HEARTH_TRY(auto source, open_model(options.draft_model));
  const auto& ours = source.tokenizer;
  const auto& theirs = target.source().tokenizer;
  if (ours && theirs && ours->tokens != theirs->tokens)
    return invalid("draft_mismatch", "{} has other tokens than {}: it cannot guess for it",
                   source.name, target.source().name);
  HEARTH_TRY(auto draft, model::Model::load(std::move(source), target.backend().beside()));
  return std::shared_ptr<const model::Model>(std::move(draft));
}

engine::EngineOptions engine_options(const ModelOptions& options) {
  engine::EngineOptions out;
  out.context = options.context;
  out.batch_tokens_max = options.batch_tokens_max;
  out.admission =
      options.admission == "shortest" ? engine::Admission::kShortest : engine::Admission::kFair;
  out.speculate = options.speculation != "off";
  out.running_max = options.running_max;
  out.queue_requests_max = options.queue_requests_max;
  out.queue_tokens_max = options.queue_tokens_max;
  out.cache_bytes = options.cache_mib << 20;
  out.prefix_cache_bytes = options.prefix_cache_mib < 0 ? -1 : options.prefix_cache_mib << 20;
  return out;
}

Result<std::shared_ptr<const text::Tokenizer>> make_model_tokenizer(
    const model::ModelSource& source) {
  if (!source.tokenizer)
    return fail(ErrorKind::kUnsupported, "no_tokenizer", "{} has no tokenizer", source.path);
  return text::make_tokenizer(*source.tokenizer);
}

Result<std::shared_ptr<const text::jinja::Template>> chat_template(const model::ModelSource& source,
                                                                   const std::string& file) {
  std::string text = source.chat_template;
  if (!file.empty()) {
    HEARTH_TRY(text, read_input_file(file, 1 << 20));
  }
  if (text.empty()) return nullptr;
  auto parsed = text::jinja::parse(text);
  if (!parsed)
    return prefixed(file.empty() ? source.path + ": chat template" : file, parsed.error());
  return parsed;
}

Result<std::string> read_input_file(const std::string& path, std::int64_t bytes_max) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(ErrorKind::kNotFound, "file_not_found", "{}: cannot be read", path);
  std::string text;
  char buffer[1 << 16];
  while (file.read(buffer, sizeof buffer) || file.gcount() > 0) {
    text.append(buffer, static_cast<std::size_t>(file.gcount()));
    if (static_cast<std::int64_t>(text.size()) > bytes_max)
      return fail(ErrorKind::kTooLarge, "file_too_large", "{}: over {} bytes", path, bytes_max);
  }
  if (file.bad()) return fail(ErrorKind::kIo, "read_failed", "{}: reading failed", path);
  return text;
}

Result<std::vector<std::int32_t>> read_tokens(const std::string& path) {
  HEARTH_TRY(const std::string text, read_input_file(path));
  auto json = parse_json(text, {text.size() + 1, 4});
  if (!json) return prefixed(path, json.error());
  if (!json->is_array())
    return invalid("invalid_tokens", "{}: expected an array of token ids", path);
  std::vector<std::int32_t> tokens;
  for (const Json& id : *json) {
    if (!id.is_number_integer() || id.get<std::int64_t>() < 0 || id.get<std::int64_t>() > INT32_MAX)
      return invalid("invalid_tokens", "{}: entry {} is not a token id", path, tokens.size());
    tokens.push_back(id.get<std::int32_t>());
  }
  return tokens;
}

void finish_command(const Status& status) {
  if (!status) report(status.error());
}

Status generate_and_wait(engine::Engine& engine, engine::GenerateRequest request,
                         const std::function<void(const engine::Event&)>& on_event,
                         const std::function<bool()>& stop) {
  const auto mailbox = std::make_shared<Mailbox>();
  const engine::RequestId id = request.id;
  std::int32_t open = request.choices;
  bool stopped = false;
  HEARTH_TRY_VOID(engine.submit(std::move(request), mailbox));
  std::optional<Error> error;
  while (open > 0) {
    const std::optional<engine::Event> event = mailbox->next();
    if (event) {
      on_event(*event);
      if (event->finish) --open;
      if (event->error) error = event->error;
    }
    if (!stopped && stop && stop()) {
      engine.cancel(id);
      stopped = true;
    }
  }
  if (error) return tl::unexpected<Error>(*error);
  return {};
}

}  // namespace hearth::apps
