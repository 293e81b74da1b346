// hearth: one program, one subcommand per file of src/apps/.
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdlib>

#include "apps/commands.h"
#include "base/fault_point.h"
#include "base/log.h"

int main(int argc, char** argv) {
  // A core file would hold prompts, answers and keys.
  const rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
  std::signal(SIGPIPE, SIG_IGN);
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
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // CLI11 reports wrong usage, --help and --version this way; the contract wants 2 for the first.
    return app.exit(error) == 0 ? 0 : 2;
  }
  return exit_status();
}
