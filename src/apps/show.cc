// hearth show: what a model is: architecture, tensors, quantisation, licence, template.
#include <CLI/CLI.hpp>
#include <map>
#include <memory>

#include "apps/commands.h"
#include "apps/model_options.h"
#include "base/json.h"
#include "model/decoder.h"

namespace hearth::apps {
namespace {

struct Options {
  std::string model;
  bool json = false;
};

// A string of the file's metadata, "" when absent or of another type.
std::string metadata(const model::ModelSource& source, std::string_view key) {
  if (!source.gguf_file) return {};
  const auto value = source.gguf_file->get_string(key);
  return value && *value ? std::string(**value) : std::string();
}

OrderedJson describe(const model::ModelSource& source, const model::ModelConfig& c) {
  OrderedJson out;
  out["name"] = source.name;
  out["path"] = source.path;
  out["format"] = source.gguf ? "gguf" : "safetensors";
  out["architecture"] = c.family;
  out["title"] = metadata(source, "general.name");
  out["licence"] = metadata(source, "general.license");
  std::int64_t parameters = 0;
  std::map<std::string, std::int64_t> kinds;
  OrderedJson tensors = OrderedJson::array();
  for (const TensorView& t : source.weights->tensors()) {
    parameters += t.elems();
    kinds[info(t.dtype).name] += t.elems();
    tensors.push_back({{"name", t.name},
                       {"shape", t.shape},
                       {"type", info(t.dtype).name},
                       {"bytes", t.data.size()}});
  }
  out["parameters"] = parameters;
  out["file_bytes"] = source.weights->file_bytes();
  out["quantisation"] = kinds;  // elements of each kind
  out["layers"] = c.n_layers;
  out["d_model"] = c.d_model;
  out["d_ff"] = c.d_ff;
  out["heads"] = c.n_heads;
  out["kv_heads"] = c.n_kv_heads;
  out["head_dim"] = c.head_dim;
  out["vocab"] = c.vocab;
  out["context"] = c.context;
  out["sliding_window"] = c.sliding_window;
  out["tied_embeddings"] = c.tied_embeddings;
  out["bos"] = c.bos;
  out["eos"] = c.eos;
  out["tokenizer"] = !source.tokenizer ? OrderedJson(nullptr)
                     : source.tokenizer->model == text::TokenizerData::Model::kByteLevelBpe
                         ? OrderedJson("byte-level BPE (" + source.tokenizer->pre + ")")
                         : OrderedJson("SentencePiece-style BPE");
  out["chat_template"] =
      source.chat_template.empty() ? OrderedJson(nullptr) : OrderedJson(source.chat_template);
  out["tensors"] = std::move(tensors);
  return out;
}

std::string as_text(const OrderedJson& d) {
  std::string text;
  for (const auto& [key, value] : d.items()) {
    if (key == "tensors" || value.is_null() || value == "") continue;
    text += fmt::format("{:16} {}\n", key,
                        value.is_string() ? value.get<std::string>() : dump_json(value));
  }
  text += fmt::format("{:16} {}\n", "tensors", d["tensors"].size());
  for (const auto& t : d["tensors"])
    text += fmt::format("  {:44} {:5} {}\n", t["name"].get<std::string>(),
                        t["type"].get<std::string>(), dump_json(t["shape"]));
  return text;
}

Status show(const Options& options) {
  HEARTH_TRY_VOID(lock_in(options.model));
  HEARTH_TRY(const model::ModelSource source, open_model(options.model));
  HEARTH_TRY(const model::ModelConfig config, source.config());
  if (!model::find_family(config.family))
    return fail(ErrorKind::kUnsupported, "unknown_architecture", "architecture {} is not supported",
                config.family);
  const OrderedJson description = describe(source, config);
  print(options.json ? dump_json(description, 2) + "\n" : as_text(description));
  return {};
}

}  // namespace

void add_show(CLI::App& root) {
  auto options = std::make_shared<Options>();
  CLI::App* command = root.add_subcommand("show", "What a model is");
  command->add_option("MODEL", options->model, "A .gguf file, a Hugging Face folder or a name")
      ->required();
  command->add_flag("--json", options->json, "One JSON document");
  command->callback([options] { finish_command(show(*options)); });
}

}  // namespace hearth::apps
