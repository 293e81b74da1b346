// hearth keys: keys and certificates.
#include <CLI/CLI.hpp>

#include "apps/commands.h"

namespace hearth::apps {

void add_keys(CLI::App& root) {
  CLI::App* group = root.add_subcommand("keys", "Keys and certificates");
  group->require_subcommand(1);
  add_keys_create(*group);
}

}  // namespace hearth::apps
