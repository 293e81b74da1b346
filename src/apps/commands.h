// The commands. Each file of this folder adds one subcommand to the command line; its callback runs
// it and leaves the exit status here: 0 done, 1 failed for a reason told in one line, 2 wrong usage
// (CLI11 finds that itself).
#pragma once

#include <string_view>

#include "base/result.h"

namespace CLI {
class App;
}

namespace hearth::apps {

// What main() returns after the callbacks have run.
int& exit_status();

// Prints "hearth: <message>" to standard error and makes the exit status 1.
void report(const Error& error);

// To standard output, where results go; flushed. False: a closed pipe or full disk, which has been
// reported.
bool print(std::string_view text);

void add_pull(CLI::App& root);  // hearth pull NAME|URL
void add_list(CLI::App& root);  // hearth list
void add_show(CLI::App& root);
void add_tokenize(CLI::App& root);
void add_render(CLI::App& root);
void add_generate(CLI::App& root);
void add_logits(CLI::App& root);
void add_run(CLI::App& root);
void add_serve(CLI::App& root);
void add_bench(CLI::App& root);
void add_bench_serve(CLI::App& group);  // of bench
void add_synth(CLI::App& root);

}  // namespace hearth::apps
