// hearth run: a chat in the terminal, with token speed.
#include <editline/readline.h>
#include <langinfo.h>
#include <pthread.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string_view>

#include "api/text_service.h"
#include "apps/commands.h"
#include "apps/model_options.h"
#include "apps/served.h"
#include "base/log.h"
#include "text/detokenizer.h"

namespace hearth::apps {
namespace {

struct Options : ServedOptions {
  std::string prompt, system;
  float temperature = 0.7f;
  std::int32_t max_tokens = 2048;
  std::optional<std::uint64_t> seed;
};

// Ctrl-C ends the answer, not the program.
std::atomic<bool> g_interrupted{false};
void on_interrupt(int) { g_interrupted.store(true); }

// Signals come to the thread that waits for them, never to one that computes: line editing's
// handlers are not made for that. While this lives, new threads have them blocked.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_ = {};
};

// Line editing counts bytes where the locale knows no wider signs.
void use_unicode() {
  const char* named = std::setlocale(LC_CTYPE, "");
  if (!named || std::string_view(nl_langinfo(CODESET)) != "UTF-8")
    std::setlocale(LC_CTYPE, "C.UTF-8");
}

// Without the control characters by which a text could drive the terminal (C0 but tab and newline,
// DEL, C1). Expects valid UTF-8.
std::string without_controls(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f) continue;
    if (c == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0) {
      ++i;
      continue;
    }
    out.push_back(text[i]);
  }
  return out;
}

bool wants_colour() {
  const char* terminal = std::getenv("TERM");
  return isatty(STDOUT_FILENO) == 1 && !std::getenv("NO_COLOR") && terminal &&
         std::string_view(terminal) != "dumb";
}

constexpr const char* kHelp =
    "  /clear          forget the conversation\n"
    "  /system TEXT    say how the model should behave, and start anew; without TEXT: as it likes\n"
    "  /help           this\n"
    "  /exit           leave; so does Ctrl-D. Ctrl-C stops an answer.\n";

class Chat {
 public:
  Chat(api::ServedModel model, const Options& options)
      : model_(std::move(model)),
        options_(options),
        terminal_(isatty(STDOUT_FILENO) == 1),
        colour_(wants_colour()) {
    set_system(options.system);
  }

  void set_system(const std::string& text) {
    system_ = text;
    clear();
  }
  void clear() {
    messages_ = OrderedJson::array();
    if (!system_.empty()) messages_.push_back({{"role", "system"}, {"content", system_}});
  }

  // Streams the answer to standard output and keeps the turn.
  Status answer(const std::string& text) {
    messages_.push_back({{"role", "user"}, {"content", text}});
    engine::GenerateRequest request;
    auto prompt = api::encode_chat(model_, messages_);
    if (!prompt) {
      messages_.erase(messages_.size() - 1);
      return tl::unexpected<Error>(prompt.error());
    }
    const std::size_t prompt_tokens = prompt->size();
    request.prompt = std::move(*prompt);
    request.id = ++requests_;
    request.max_tokens = options_.max_tokens;
    request.sampling.temperature = options_.temperature;
    request.sampling.seed = options_.seed.value_or(std::random_device{}());
    text::Detokenizer detokenizer(model_.tokenizer);
    std::string reply;
    std::int64_t tokens = 0;
    engine::Timings timings;
    engine::FinishReason reason = engine::FinishReason::kStop;
    bool heard = true;  // standard output still takes what it is given
    g_interrupted.store(false);
    const Status status = generate_and_wait(
        *model_.engine, std::move(request),
        [&](const engine::Event& event) {
          if (event.token) {
            ++tokens;
            heard = heard && show(detokenizer.push(event.token->id), reply);
          }
          if (event.finish) {
            timings = event.timings;
            reason = *event.finish;
          }
        },
        [&] { return !heard || g_interrupted.load(); });
    if (!heard) return {};  // it has been reported
    show(detokenizer.finish(), reply);
    print("\n");
    HEARTH_TRY_VOID(status);
    messages_.push_back({{"role", "assistant"}, {"content", reply}});
    if (isatty(STDERR_FILENO)) report_speed(prompt_tokens, tokens, timings, reason);
    return {};
  }

 private:
  bool show(const std::string& text, std::string& reply) const {
    if (text.empty()) return true;
    reply += text;
    return print(terminal_ ? without_controls(text) : text);
  }
  void report_speed(std::size_t prompt_tokens, std::int64_t tokens, const engine::Timings& t,
                    engine::FinishReason reason) const {
    const double first = static_cast<double>(t.queued_ns + t.prefill_ns) / 1e6;
    const double decode = static_cast<double>(t.decode_ns) / 1e9;
    const double speed = tokens > 1 && decode > 0 ? static_cast<double>(tokens - 1) / decode : 0;
    const char* end = reason == engine::FinishReason::kLength      ? "; cut, no more room"
                      : reason == engine::FinishReason::kCancelled ? "; stopped"
                                                                   : "";
    std::fprintf(stderr,
                 "%s%zu tokens in, first word after %.0f ms, %lld out at %.1f tokens/s%s%s\n",
                 colour_ ? "\033[2m" : "", prompt_tokens, first, static_cast<long long>(tokens),
                 speed, end, colour_ ? "\033[0m" : "");
  }

  const api::ServedModel model_;
  const Options& options_;
  const bool terminal_;  // the answer goes to one
  const bool colour_;
  std::string system_;
  OrderedJson messages_;
  engine::RequestId requests_ = 0;
};

// The next line, with editing and history on a terminal. False at the end of the input.
bool read_line(bool terminal, std::string& line) {
  if (!terminal) {
    line.clear();
    int c;
    while ((c = std::getchar()) != EOF && c != '\n') line.push_back(static_cast<char>(c));
    return c != EOF || !line.empty();
  }
  g_interrupted.store(false);
  const std::unique_ptr<char, decltype(&std::free)> typed(readline(">>> "), &std::free);
  if (!typed && g_interrupted.load()) {  // Ctrl-C: the line is given up
    std::fputs("\n", stderr);
    line.clear();
    return true;
  }
  if (!typed) return false;
  line = typed.get();
  if (!line.empty()) add_history(line.c_str());
  return true;
}

void converse(Chat& chat, const std::string& name) {
  const bool terminal = isatty(STDIN_FILENO) == 1;
  if (terminal) {
    using_history();
    std::fprintf(stderr, "%s. /help tells the commands.\n", name.c_str());
  }
  std::string line;
  while (read_line(terminal, line)) {
    if (line.find_first_not_of(" \t") == std::string::npos) continue;
    if (line == "/exit" || line == "/bye") break;
    if (line == "/help") {
      std::fputs(kHelp, stderr);
    } else if (line == "/clear") {
      chat.clear();
      std::fputs("forgotten\n", stderr);
    } else if (line == "/system" || line.starts_with("/system ")) {
      chat.set_system(line.size() > 8 ? line.substr(8) : "");
      std::fputs("a new conversation\n", stderr);
    } else if (line.starts_with("/")) {
      std::fprintf(stderr, "%s is no command; /help tells them\n", line.c_str());
    } else if (const Status status = chat.answer(line); !status) {
      std::fprintf(stderr, "%s\n", status.error().message.c_str());
      if (status.error().code == "context_length_exceeded")
        std::fputs("the conversation is too long; /clear starts anew\n", stderr);
    }
  }
  if (terminal) std::fputs("\n", stderr);
}

Status run(const Options& options) {
  log::set_level("warn");
  use_unicode();
  // What line editing reads: the terminal's description, the user's own settings.
  const char* home = std::getenv("HOME");
  HEARTH_TRY_VOID(lock_in({options.model, options.draft_model},
                          {options.chat_template, "/etc/terminfo", "/lib/terminfo",
                           "/usr/share/terminfo", std::string(home ? home : "") + "/.editrc"},
                          Network::kNone));
  auto blocked = std::make_unique<SignalsBlocked>();
  engine::EngineReaper reaper;
  HEARTH_TRY(api::ServedModel model, load_served(options, reaper));
  blocked.reset();
  if (!model.tokenizer)
    return fail(ErrorKind::kUnsupported, "no_tokenizer", "{} has no tokenizer", options.model);
  if (!model.chat_template)
    return invalid("no_chat_template",
                   "{} has no chat template; give one with --chat-template FILE", options.model);
  std::signal(SIGINT, on_interrupt);
  const std::string name = model.id;
  Chat chat(std::move(model), options);
  if (!options.prompt.empty()) return chat.answer(options.prompt);
  converse(chat, name);
  return {};
}

}  // namespace

void add_run(CLI::App& root) {
  auto options = std::make_shared<Options>();
  CLI::App* command = root.add_subcommand("run", "Chat in the terminal");
  add_model_options(*command, *options);
  add_speculation_options(*command, *options);
  command->add_option("PROMPT", options->prompt, "One question; without it a conversation starts");
  command->add_option("--system", options->system, "How the model should behave");
  command->add_option("--temperature", options->temperature, "0: always the likeliest word")
      ->check(CLI::Range(0.0, 100.0));
  command->add_option("--max-tokens", options->max_tokens, "Tokens of one answer at most")
      ->check(CLI::Range(1, 1 << 24));
  command->add_option("--seed", options->seed, "The same seed gives the same answers");
  command->add_option("--chat-template", options->chat_template,
                      "A Jinja file instead of the model's own template");
  command->callback([options] { finish_command(run(*options)); });
}

}  // namespace hearth::apps
