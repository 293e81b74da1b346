// hearth: one program, one subcommand per file of src/apps/.
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdlib>

#include "apps/commands.h"
#include "base/fault_point.h"
#include "base/log.h"
#include "base/private_memory.h"

int main(int argc, char** argv) {
  hearth::forbid_core_files();  // one would hold prompts, answers and keys
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // a limit on files is an error of writing like any other
  hearth::log::init("info");

  if (const char* points = std::getenv("HEARTH_FAULT_POINTS")) {
    if (!hearth::fault::arm_all(points)) {
      hearth::log::error("HEARTH_FAULT_POINTS must be name=N,name=N");
      return 2;
    }
    hearth::log::warn("this process will fail on purpose: HEARTH_FAULT_POINTS={}", points);
  }

  CLI::App app("Runs large language models on your own machines.", "hearth");
  app.set_version_flag("--version", HEARTH_VERSION);
  app.require_subcommand(1);
  app.option_defaults()->always_capture_default();
  using namespace hearth::apps;
  add_serve(app);
  add_run(app);
  add_pull(app);
  add_list(app);
  add_show(app);
  add_tokenize(app);
  add_render(app);
  add_generate(app);
  add_logits(app);
  add_bench(app);
  add_synth(app);
  add_seal(app);
  add_unseal(app);
  add_rewrap(app);
  add_keys(app);
  add_redact(app);
  add_audit(app);
  add_backup(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // CLI11 reports wrong usage, --help and --version this way; the contract wants 2 for the first.
    return app.exit(error) == 0 ? 0 : 2;
  }
  return exit_status();
}
