#include "apps/commands.h"

#include <cstdio>

namespace hearth::apps {

int& exit_status() {
  static int status = 0;
  return status;
}

void report(const Error& error) {
  std::fprintf(stderr, "hearth: %s\n", error.message.c_str());
  exit_status() = 1;
}

bool print(std::string_view text) {
  const bool written =
      std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  if (!written) report({ErrorKind::kIo, "output", "cannot write to standard output"});
  return written;
}

}  // namespace hearth::apps
