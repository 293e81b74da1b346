// hearth seal, unseal, rewrap: models at rest. docs/formats/sealed.md
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "apps/commands.h"
#include "apps/key_options.h"
#include "apps/model_options.h"
#include "base/fs.h"
#include "formats/sealed_writer.h"

namespace hearth::apps {
namespace {

struct Options {
  std::string in, out;
  std::vector<std::string> keys;  // that open what is made
  KeyOptions opens;               // what is there
  std::string sign_key;
};

// One file, or each file of a folder; what begins with a dot and what is no file is left out.
using ForFile = std::function<Status(const std::string& from, const std::string& to)>;

Status each_file(const std::string& in, const std::string& out, const ForFile& work) {
  FileSystem& fs = FileSystem::real();
  struct stat st = {};
  if (::stat(in.c_str(), &st) != 0 || !S_ISDIR(st.st_mode)) return work(in, out);
  HEARTH_TRY(const auto entries, fs.list(in));
  bool any = false;
  for (const FileInfo& entry : entries) {
    // Hugging Face's cache links to files elsewhere.
    const std::string path = in + "/" + entry.name;
    if (entry.name.starts_with('.') || ::stat(path.c_str(), &st) != 0 || !S_ISREG(st.st_mode))
      continue;
    any = true;
    HEARTH_TRY_VOID(work(path, out + "/" + entry.name));
  }
  if (!any) return invalid("empty_folder", "{}: there is no file in it", in);
  return {};
}

// As each_file(), into a folder that gets its name when it is whole.
Status into_new(const std::string& in, std::string out, const ForFile& work) {
  FileSystem& fs = FileSystem::real();
  struct stat st = {};
  if (::stat(in.c_str(), &st) != 0 || !S_ISDIR(st.st_mode)) return each_file(in, out, work);
  while (out.size() > 1 && out.ends_with('/')) out.pop_back();
  if (fs.info(out))
    return invalid("file_exists", "{} is there already; nothing is overwritten", out);
  const std::string temporary = out + ".tmp";
  if (fs.info(temporary))
    return invalid("file_exists", "{} was left by a run that was interrupted; remove it",
                   temporary);
  HEARTH_TRY_VOID(fs.make_folders(temporary, 0700));
  Status done = each_file(in, temporary, work);
  if (done) done = fs.rename(temporary, out);
  if (done) {
    const std::size_t slash = out.find_last_of('/');
    return fs.sync_folder(slash == std::string::npos ? "." : out.substr(0, slash + 1));
  }
  if (const auto left = fs.list(temporary))
    for (const FileInfo& entry : *left) (void)fs.remove(temporary + "/" + entry.name);
  (void)fs.remove(temporary);
  return done;
}

Result<std::vector<sealed::KeyRef>> new_keys(const std::vector<std::string>& sources) {
  std::vector<sealed::KeyRef> keys;
  for (const std::string& source : sources) {
    HEARTH_TRY(keys.emplace_back(), read_new_key(source));
  }
  return keys;
}

Status seal(const Options& options) {
  HEARTH_TRY(const auto keys, new_keys(options.keys));
  std::optional<crypto::Ed25519Key> signer;
  if (!options.sign_key.empty()) {
    HEARTH_TRY(signer, read_signing_key(options.sign_key));
  }
  return into_new(options.in, options.out, [&](const std::string& from, const std::string& to) {
    return sealed::seal_file(FileSystem::real(), from, to, {keys, signer ? &*signer : nullptr});
  });
}

Status unseal(const Options& options) {
  ::umask(0077);  // what comes out is for its owner alone
  HEARTH_TRY(const auto unsealing, find_keys(options.opens));
  return into_new(options.in, options.out, [&](const std::string& from, const std::string& to) {
    return sealed::unseal_file(FileSystem::real(), from, to, unsealing);
  });
}

Status rewrap(const Options& options) {
  HEARTH_TRY(const auto unsealing, find_keys(options.opens));
  HEARTH_TRY(const auto keys, new_keys(options.keys));
  return each_file(options.in, "", [&](const std::string& path, const std::string&) -> Status {
    FileSystem& fs = FileSystem::real();
    if (path != options.in) {  // of a folder, whose other files stay as they are
      HEARTH_TRY(const bool is_sealed, sealed::is_sealed(fs, path));
      if (!is_sealed) return {};
    }
    Status done = sealed::rewrap_file(fs, path, unsealing.key, keys);
    // Of a folder that was interrupted half of the files have the new keys already.
    if (!done && done.error().code == "sealed_wrong_key" && path != options.in &&
        sealed::rewrap_file(fs, path, keys.front(), keys))
      return {};
    return done;
  });
}

CLI::Option* add_paths(CLI::App& command, Options& options, const char* in, const char* out) {
  command.add_option("IN", options.in, in)->required();
  return command.add_option("OUT", options.out, out)->required();
}

}  // namespace

void add_seal(CLI::App& root) {
  auto options = std::make_shared<Options>();
  CLI::App* command = root.add_subcommand("seal", "Encrypt a model, so that only a key opens it");
  add_paths(*command, *options, "A model: a file, or a folder with its files",
            "The sealed file or folder, which must not be there");
  CLI::Option* key = command->add_option(
      "--key", options->keys,
      "What will open it: file:PATH, env:NAME (32 bytes), passphrase; several times: each of them");
  check_key_source(key->required()->allow_extra_args(false));
  command->add_option("--sign-key", options->sign_key,
                      "A file with an Ed25519 private key (PEM) to sign it with");
  command->callback([options] { finish_command(seal(*options)); });
}

void add_unseal(CLI::App& root) {
  auto options = std::make_shared<Options>();
  CLI::App* command = root.add_subcommand("unseal", "Decrypt a sealed model into a plain one");
  add_paths(*command, *options, "A sealed file, or a folder of such",
            "The plain file or folder, which must not be there");
  add_key_options(*command, options->opens);
  command->get_option("--key")->required();
  command->callback([options] { finish_command(unseal(*options)); });
}

void add_rewrap(CLI::App& root) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      root.add_subcommand("rewrap", "Change the key of a sealed model, without encrypting it anew");
  command->add_option("FILE", options->in, "A sealed file, or a folder with such")->required();
  CLI::Option* old = command->add_option("--key", options->opens.key,
                                         "What opens it, and will not any more: as for seal");
  check_key_source(old->required());
  CLI::Option* key = command->add_option("--new-key", options->keys,
                                         "What will open it in its place; several times: each of "
                                         "them");
  check_key_source(key->required()->allow_extra_args(false));
  command->callback([options] { finish_command(rewrap(*options)); });
}

}  // namespace hearth::apps
