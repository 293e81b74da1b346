#include "apps/serve_config.h"

#include <limits>

#include "apps/model_options.h"

namespace hearth::apps {
namespace {

constexpr std::int64_t kFileBytesMax = 1 << 20;
constexpr std::int64_t kDay = 24 * 3600 * 1000;  // ms

void describe_server(Settings& in, ServeConfig& config) {
  in.text("host", config.server.host, "Address or name to listen on.");
  in.integer("port", config.server.port, 0, 65535, "0: any free port.");
  in.integer("io_threads", config.server.io_threads, 1, 64, "Threads that read and write sockets.");
  in.list("allowed_hosts", config.server.allowed_hosts,
          "Names under which clients may ask for this server (header Host), besides its address\n"
          "and localhost. Others are refused: a page on the web cannot reach it by a name of its "
          "own.");
  in.integer("text_threads", config.app.text_threads, 1, 64,
             "Threads that read JSON, render templates and tokenize.");
  in.choice("log_level", config.log_level, {"trace", "debug", "info", "warn", "error", "off"},
            "The environment's HEARTH_LOG wins.");
}

void describe_limits(Settings& in, ServeConfig& config) {
  net::ServerLimits& l = config.server;
  in.integer("header_bytes_max", l.header_bytes_max, 1 << 10, 1 << 20,
             "Start line and headers of a request; more: 431.");
  in.integer("header_count_max", l.header_count_max, 8, 10'000, "Headers; more: 431.");
  in.integer("body_bytes_max", l.body_bytes_max, 1 << 10, std::int64_t{1} << 30,
             "A request's body; more: 413.");
  in.integer("stream_unsent_bytes_max", l.stream_unsent_bytes_max, 4 << 10, 1 << 30,
             "What waits for a client that reads slowly; more: it is dropped.");
  in.integer("connections_max", l.connections_max, 1, 1'000'000,
             "In all. Idle ones make room; else: 503.");
  in.integer("connections_per_address_max", l.connections_per_address_max, 1, 1'000'000,
             "From one address that is not this machine; more: 503.");
  in.duration("header_timeout_ms", l.header_timeout, 100, kDay,
              "From a request's first byte to its last header: 408.");
  in.duration("body_timeout_ms", l.body_timeout, 100, kDay, "For the whole body: 408.");
  in.duration("body_grace_ms", l.body_grace, 0, kDay, "Before body_bytes_per_s_min applies.");
  in.integer("body_bytes_per_s_min", l.body_bytes_per_s_min, 1, 1 << 30,
             "A body that comes more slowly: 408.");
  in.duration("idle_timeout_ms", l.idle_timeout, 100, kDay,
              "Of a connection between two requests.");
  in.duration("write_timeout_ms", l.write_timeout, 100, kDay,
              "Without any byte taken by the client: it is dropped.");
  in.duration("write_grace_ms", l.write_grace, 0, kDay, "Before write_bytes_per_s_min applies.");
  in.integer("write_bytes_per_s_min", l.write_bytes_per_s_min, 1, 1 << 30,
             "A client that takes what waits for it more slowly: it is dropped.");
  in.duration("linger_timeout_ms", l.linger_timeout, 0, kDay,
              "For a client to read the last answer before its connection closes.");
  in.duration("drain_timeout_ms", l.drain_timeout, 0, kDay,
              "For open requests to end after SIGTERM.");
  in.duration("request_timeout_ms", config.app.request_timeout, 0, kDay,
              "For a request until its last token; 0: none. Over it: 504.");
  in.integer("text_queue_max", config.app.text_queue_max, 1, 1'000'000,
             "Requests that wait for a text thread; more: 503.");
}

void describe_requests(Settings& in, api::RequestLimits& l) {
  constexpr std::int64_t kInt = std::numeric_limits<std::int32_t>::max();
  in.integer("json_depth_max", l.json_depth_max, 4, 1000, "Lists and objects in one another.");
  in.integer("choices_max", l.choices_max, 1, 4096, "n: answers to one request.");
  in.integer("max_tokens_max", l.max_tokens_max, 1, kInt, "Of one answer.");
  in.integer("output_tokens_max", l.output_tokens_max, 1, std::int64_t{1} << 30,
             "n * max_tokens * (1 + logprobs) of one request.");
  in.integer("top_logprobs_max", l.top_logprobs_max, 0, 1000, "Likeliest tokens told at each one.");
  in.integer("top_k_max", l.top_k_max, 1, kInt, "top_k.");
  in.number("temperature_max", l.temperature_max, 0, 1000, "temperature.");
  in.number("repetition_penalty_min", l.repetition_penalty_min, 0.0001, 1, "repetition_penalty.");
  in.number("repetition_penalty_max", l.repetition_penalty_max, 1, 1000, "repetition_penalty.");
  in.number("penalty_max", l.penalty_max, 0, 100,
            "presence_penalty and frequency_penalty, of either sign.");
  in.number("logit_bias_max", l.logit_bias_max, 0, 1000, "logit_bias, of either sign.");
  in.integer("logit_bias_entries_max", l.logit_bias_entries_max, 0, 1'000'000,
             "Tokens in logit_bias.");
  in.integer("stop_strings_max", l.stop_strings_max, 0, 1000, "Strings in stop.");
  in.integer("stop_characters_max", l.stop_characters_max, 1, 1 << 20, "Of each of them.");
  in.integer("inputs_max", l.inputs_max, 1, 2048, "Texts of one request for embeddings.");
}

void describe_key(Settings& in, security::KeyEntry& key) {
  in.text("name", key.name, "Whose it is, for logs.");
  in.text("sha256", key.sha256,
          "Of the key, in hex. For a new one: openssl rand -hex 32, then\n"
          "printf %s \"$KEY\" | sha256sum");
  in.list("permissions", key.permissions, "Of use-models, read-metrics, manage-models.");
  in.number("weight", key.weight, 0.01, 100,
            "Of its share of a model while many wait: with 2 it gets twice what another gets.");
  in.boolean("batch_only", key.batch_only,
             "Its requests wait for those of all others, as with service_tier flex.");
  in.check(security::check(key));
}

// What one entry has and no other may have too; empty: nothing.
template <class Entry>
bool is_taken(const std::vector<Entry>& entries, const Entry& entry, std::string Entry::* member) {
  for (const Entry& other : entries) {
    if (&other == &entry) return false;
    if (!(entry.*member).empty() && other.*member == entry.*member) return true;
  }
  return false;
}

}  // namespace

void describe(Settings& in, ServedOptions& model) {
  in.text("model", model.model, "A .gguf file, a Hugging Face folder or a name in the store.");
  in.text("id", model.id, "What clients call it; empty: the file's name.");
  in.text("chat_template", model.chat_template,
          "A Jinja file instead of the model's own template.");
  in.integer("threads", model.threads, 0, 1024, "Compute threads; 0: all cores at hand.");
  in.choice("precision", model.precision, {"default", "f32"}, "f32: exact and slow.");
  in.integer("ctx", model.context, 0, std::int64_t{1} << 24,
             "Tokens of context; 0: the model's, at most 8192.");
  in.choice(
      "kv_type", model.kv_type, {"auto", "f16", "bf16", "int8"},
      "How keys and values are kept; auto: bf16 where the processor multiplies it, else f16.");
  in.integer("cache_mib", model.cache_mib, 0, std::int64_t{1} << 24,
             "Memory for keys and values; 0: a quarter of what is there at the start.");
  in.integer("prefix_cache_mib", model.prefix_cache_mib, -1, std::int64_t{1} << 24,
             "Of them kept for prompts that begin like an earlier one of the same identity; -1: as "
             "much as the weights take.");
  in.choice(
      "admission", model.admission, {"fair", "shortest"},
      "Who comes next of those that wait. fair: who has had least, short prompts before long\n"
      "ones that are still young; shortest: the shortest prompt, however long others wait.");
  in.choice(
      "tuner", model.tuner, {"slo", "rule", "off"},
      "Who moves running_max and how much of prompts a step computes beside running answers:\n"
      "slo keeps the two targets, rule looks at the utilisation alone, off leaves them.");
  in.number("target_tpot_ms", model.target_tpot_ms, 0.01, 1e6,
            "Milliseconds a token that 95 of 100 are to keep within.");
  in.number("target_ttft_ms", model.target_ttft_ms, 0.01, 1e8,
            "Milliseconds to the first token that 95 of 100 are to keep within.");
  in.choice("speculation", model.speculation, {"auto", "off"},
            "Tokens guessed from what a text said before and computed together, where that pays.");
  in.text("draft_model", model.draft_model,
          "A smaller model with the same tokens, which guesses too; empty: none.");
  in.integer("max_batch_tokens", model.batch_tokens_max, 1, 1 << 20, "Tokens computed per step.");
  in.integer("running_max", model.running_max, 1, 65'536, "Answers computed side by side.");
  in.integer("queue_requests_max", model.queue_requests_max, 0, 1'000'000,
             "Requests that wait; more: 429.");
  in.integer("queue_tokens_max", model.queue_tokens_max, 1, std::int64_t{1} << 40,
             "Tokens of the prompts that wait; more: 429.");
  if (model.model.empty()) in.check(invalid("invalid_config", "[[models]] must say its model"));
}

void describe(Settings& in, ServeConfig& config) {
  in.table("server", "Where to listen. Read at the start only.",
           [&](Settings& t) { describe_server(t, config); });
  in.table("limits", "What clients may ask of the server. SIGHUP reads them again.",
           [&](Settings& t) { describe_limits(t, config); });
  in.table("requests",
           "How much one request may ask for; more: 400. /openapi.json says the same. Read at the "
           "start only.",
           [&](Settings& t) { describe_requests(t, config.app.requests); });
  in.tables<ServedOptions>(
      "models",
      "Any number of them, each with an engine of its own; the first is `default`. SIGHUP loads "
      "those\nthat are new, unloads those that are gone and loads those that have changed again.",
      config.models, [&](Settings& t, ServedOptions& model) {
        describe(t, model);
        if (is_taken(config.models, model, &ServedOptions::id))
          t.check(invalid("invalid_config", "two models are called {}", model.id));
      });
  in.tables<security::KeyEntry>(
      "keys",
      "Keys and what they permit. Without a key whoever comes from this machine may use models "
      "and read\nmetrics; /admin needs a key with manage-models. SIGHUP reads them again.",
      config.keys, [&](Settings& t, security::KeyEntry& key) {
        describe_key(t, key);
        if (is_taken(config.keys, key, &security::KeyEntry::sha256))
          t.check(invalid("invalid_config", "key {}: another entry has the same key", key.name));
      });
}

Result<ServeConfig> read_config(const std::string& path) {
  HEARTH_TRY(const std::string text, read_input_file(path, kFileBytesMax));
  ServeConfig config;
  HEARTH_TRY_VOID(read_settings(text, path, [&](Settings& in) { describe(in, config); }));
  return config;
}

}  // namespace hearth::apps
