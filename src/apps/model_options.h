// The options that commands with a model share, and what they do with them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/local_engine.h"
#include "model/model.h"
#include "text/jinja/template.h"

namespace CLI {
class App;
}

namespace hearth::apps {

struct ModelOptions {
  std::string model;
  int threads = 0;                    // 0: all cores that are ours
  std::string precision = "default";  // default, f32
  std::int64_t context = 0;           // 0: the model's own, at most kDefaultContextMax
  std::string kv_type = "auto";       // auto, f16, bf16, int8
  std::int64_t batch_tokens_max = 4096;
  std::string admission = "fair";    // fair, shortest; of commands only `serve` asks for it
  std::string speculation = "auto";  // auto, off
  std::string draft_model;           // a smaller model that guesses; empty: none
  std::string tuner = "slo";         // slo, rule, off; of commands only `serve` asks for these
  double target_tpot_ms = 250;
  double target_ttft_ms = 5000;
  // Only in the configuration file.
  std::int64_t running_max = 64;
  std::int64_t queue_requests_max = 1024;
  std::int64_t queue_tokens_max = 1 << 20;
  std::int64_t cache_mib = 0;          // 0: a quarter of the memory at hand
  std::int64_t prefix_cache_mib = -1;  // -1: as much as the weights take
};

// MODEL and --threads --precision --ctx --kv-type --max-batch-tokens.
void add_model_options(CLI::App& command, ModelOptions& options, bool positional = true);

// --speculation and --draft-model, of the commands that answer.
void add_speculation_options(CLI::App& command, ModelOptions& options);

// A path, or a name in the store.
Result<model::ModelSource> open_model(const std::string& model);
enum class Network : std::uint8_t { kNone, kListens };
// From here on this process, and each thread it starts, opens nothing but the model's files and
// `also_readable`, and reaches nothing over the network (base/sandbox.h). Comes before whatever
// parses a file that somebody else has made.
Status lock_in(const std::vector<std::string>& models, std::vector<std::string> also_readable,
               Network network);
Status lock_in(const std::string& model, std::vector<std::string> also_readable = {});
Result<std::shared_ptr<const model::Model>> load_model(const ModelOptions& options);
Result<std::shared_ptr<const model::Model>> load_model(model::ModelSource source,
                                                       const ModelOptions& options);
// As the options say, without a tuner.
engine::EngineOptions engine_options(const ModelOptions& options);

// The draft model that they name, beside `target`; null if they name none. "draft_mismatch" if its
// tokens are not those of the target.
Result<std::shared_ptr<const model::Model>> load_draft(const ModelOptions& options,
                                                       const model::Model& target);

Result<std::shared_ptr<const text::Tokenizer>> make_model_tokenizer(
    const model::ModelSource& source);
// The model's template, or the one in `file` where that is not empty; null when there is neither.
Result<std::shared_ptr<const text::jinja::Template>> chat_template(const model::ModelSource& source,
                                                                   const std::string& file);

// A file given on the command line, whole; at most `bytes_max`.
Result<std::string> read_input_file(const std::string& path, std::int64_t bytes_max = 256 << 20);
// FILE.json of --tokens: a bare array of ids.
Result<std::vector<std::int32_t>> read_tokens(const std::string& path);

// Runs a command's body and reports its error.
void finish_command(const Status& status);

// Sends one request and blocks until its end; on_event sees every event, on the calling thread.
// `stop`, when given, is asked after each event and many times a second; true cancels the request.
Status generate_and_wait(engine::Engine& engine, engine::GenerateRequest request,
                         const std::function<void(const engine::Event&)>& on_event,
                         const std::function<bool()>& stop = {});

}  // namespace hearth::apps
