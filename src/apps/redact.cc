// hearth redact: the output filter on standard input.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "apps/commands.h"
#include "apps/model_options.h"
#include "apps/serve_config.h"
#include "base/json.h"
#include "base/sandbox.h"
#include "security/redactor.h"

namespace hearth::apps {
namespace {

constexpr std::size_t kPieceBytes = 256 << 10;

struct Options {
  std::string config;
  security::RedactionOptions redaction;
  // What stands on the command line, to be put over what the file says.
  std::vector<std::function<void(security::RedactionOptions&)>> given;
  bool json = false;
};

// Writes what the filter says: the text, or with --json one document with the matches.
class Output {
 public:
  Output(const security::RedactionPolicy& policy, bool json) : policy_(policy), json_(json) {}

  bool write(const std::string& text, const std::vector<security::Match>& matches) {
    if (!json_) return text.empty() || print(text);
    std::string out;
    for (const security::Match& match : matches) {
      if (match.continues && open_) {
        open_->end = match.end;
        continue;
      }
      out += closed();
      ++counts_[policy_.name(match.type)];
      open_ = match;
    }
    return out.empty() || print(out);
  }
  bool finish(bool blocked) {
    if (!json_) return true;
    std::string out = closed();
    if (!begun_) out += R"({"matches":[)";
    return print(out + "],\"counts\":" + dump_json(Json(counts_)) +
                 ",\"blocked\":" + (blocked ? "true" : "false") + "}\n");
  }

 private:
  // The last match; it is told once nothing continues it.
  std::string closed() {
    if (!open_) return {};
    OrderedJson entry;
    entry["type"] = policy_.name(open_->type);
    entry["action"] = name_of(open_->action);
    entry["begin"] = open_->begin;
    entry["end"] = open_->end;
    open_.reset();
    const std::string start = begun_ ? "," : R"({"matches":[)";
    begun_ = true;
    return start + dump_json(entry);
  }

  const security::RedactionPolicy& policy_;
  const bool json_;
  bool begun_ = false;
  std::optional<security::Match> open_;
  std::map<std::string, std::int64_t> counts_;
};

Status redact(Options& options) {
  if (!options.config.empty()) {
    HEARTH_TRY(const ServeConfig config, read_config(options.config));
    options.redaction = config.redaction;
  }
  for (const auto& put : options.given) put(options.redaction);
  HEARTH_TRY(const auto policy, security::RedactionPolicy::create(options.redaction));
  HEARTH_TRY_VOID(enter_sandbox({}));
  security::Redactor redactor(policy);
  Output output(*policy, options.json);
  std::string piece(kPieceBytes, '\0');
  while (!redactor.blocked()) {
    const ssize_t got = ::read(STDIN_FILENO, piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0)
      return fail(ErrorKind::kIo, "read_failed", "standard input: {}", std::strerror(errno));
    std::string text;
    if (got == 0) {
      redactor.finish(text);
    } else {
      redactor.push(std::string_view(piece.data(), static_cast<std::size_t>(got)), text);
    }
    if (!output.write(text, redactor.take_matches())) return {};  // which print() has reported
    if (got == 0) break;
  }
  if (!output.finish(redactor.blocked())) return {};
  if (redactor.blocked())
    return fail(ErrorKind::kInvalid, "content_filter",
                "the text was cut before something that is to be blocked");
  return {};
}

}  // namespace

void add_redact(CLI::App& root) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      root.add_subcommand("redact", "Hide personal numbers and addresses in standard input");
  command->add_option("--config", options->config,
                      "A TOML file of `hearth serve`, of which [redaction] holds");
  const std::map<std::string, std::string security::RedactionOptions::*> types = {
      {"phone", &security::RedactionOptions::phone},
      {"bank-card", &security::RedactionOptions::bank_card},
      {"id-card", &security::RedactionOptions::id_card},
      {"email", &security::RedactionOptions::email}};
  for (const auto& [name, member] : types) {
    command
        ->add_option_function<std::string>(
            "--" + name,
            [options, wanted = member](const std::string& action) {
              options->given.push_back(
                  [=](security::RedactionOptions& out) { out.*wanted = action; });
            },
            "What to do with them [mask]")
        ->check(CLI::IsMember({"mask", "block", "log", "off"}));
  }
  command->add_flag_function(
      "--strict-digits",
      [options](std::int64_t) {
        options->given.push_back([](security::RedactionOptions& out) { out.strict_digits = true; });
      },
      "Mask every run of 11 digits and of 16 or more");
  command->add_flag("--json", options->json,
                    "Instead of the text one JSON document: what was found, by bytes");
  command->callback([options] { finish_command(redact(*options)); });
}

}  // namespace hearth::apps
