// Locks this process in before it reads files that somebody else has made. Parsers of models,
// tokenizers and templates have no business with the network, with other programs or with other
// files.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace hearth {

struct SandboxPolicy {
  std::vector<std::string>
      readable;          // files, and folders with all beneath; nothing else can be opened
  bool listens = false;  // may accept TCP connections; it still makes none
};

enum class SandboxState : std::uint8_t {
  kNone,        // neither: an emulator, or a container that forbids filters
  kFull,        // files by Landlock, system calls by seccomp
  kNoLandlock,  // the kernel has none: system calls only
};

// For this thread and all that it starts from now on; cannot be taken back. After it: no sockets
// (or, for a server, none that reaches out: no connect, no datagrams), no fork, no exec, no ptrace,
// no mounting, no new files (EPERM or EACCES). Standard streams stay open.
Result<SandboxState> enter_sandbox(const SandboxPolicy& policy);

}  // namespace hearth
