// What opens sealed models: --key file:PATH | env:NAME | passphrase, and who must have signed them:
// --signer.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "formats/sealed_keys.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace hearth::apps {

struct KeyOptions {
  std::string key;         // empty: none
  std::string signer;      // a file with an Ed25519 public key; empty: nobody is asked for
  bool plain_too = false;  // as sealed::Unsealing

  bool operator==(const KeyOptions&) const = default;
};

inline constexpr const char* kKeyHelp =
    "What opens a sealed model: file:PATH, env:NAME (32 bytes), passphrase";

void add_key_options(CLI::App& command, KeyOptions& options);
// An option whose text must be a source of keys, one or several.
void check_key_source(CLI::Option* option);

// "invalid_key_source" unless it is empty or one of the three forms.
Status check_key_source(const std::string& source);

// Reads what has to be read before this process locks itself in: what stands in the environment,
// which is wiped, and what is asked for on the terminal or comes as a line of standard input. Files
// are read to see whether they can be, and again whenever a model is opened: keys may change. From
// here on memory is private (base/private_memory.h).
// Errors: "invalid_key_source", "key_not_found", "key_readable_by_others", "invalid_key".
Status prepare_keys(std::span<const KeyOptions> options);
// Files that find_keys() reads later.
std::vector<std::string> key_files(std::span<const KeyOptions> options);

// Errors: as before; "key_not_found" also for a passphrase that nobody has been asked for in time.
Result<sealed::Unsealing> find_keys(const KeyOptions& options);

// A key to seal with: a passphrase is asked for twice, and never one that was asked for before.
Result<sealed::KeyRef> read_new_key(const std::string& source);
// A private key in PEM, kept as key files are.
Result<crypto::Ed25519Key> read_signing_key(const std::string& path);

}  // namespace hearth::apps
