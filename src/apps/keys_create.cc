// hearth keys create: a new API key, shown once, and the entry of the configuration by which it is
// known.
#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>

#include "apps/commands.h"
#include "apps/model_options.h"
#include "apps/serve_config.h"
#include "base/json.h"
#include "security/api_key.h"
#include "security/identity.h"
#include "security/site_secret.h"

namespace hearth::apps {
namespace {

struct Options {
  std::string site_secret;
  bool json = false;
  security::KeyEntry key;
};

// The secret that was named, or the one of this machine, which is made if need be.
Result<std::vector<std::byte>> secret_for(const std::string& source) {
  if (!source.empty()) return security::read_site_secret(source);
  HEARTH_TRY(const std::string own, default_site_secret());
  const std::string path = own.substr(std::string_view("file:").size());
  HEARTH_TRY_VOID(
      FileSystem::real().make_folders(std::filesystem::path(path).parent_path().string(), 0700));
  HEARTH_TRY_VOID(security::make_site_secret(path));
  return security::read_site_secret(own);
}

std::string as_entry(const security::KeyEntry& key, const std::string& text) {
  std::string out = fmt::format(
      "# The key, shown this once: {}\n[[keys]]\nid = \"{}\"\n"
      "identity = \"{}\"\nhash = \"{}\"\n",
      text, key.id, key.identity, key.hash);
  if (!key.expires.empty()) out += fmt::format("expires = \"{}\"\n", key.expires);
  if (!key.roles.empty()) {
    const Json roles = key.roles;  // the same in TOML
    out += "roles = " + dump_json(roles) + "\n";
  }
  return out;
}

Status create(Options options) {
  security::KeyEntry& key = options.key;
  HEARTH_TRY(const auto secret, secret_for(options.site_secret));
  const security::NewApiKey made = security::make_api_key();
  key.id = made.id;
  key.hash = crypto::hex(security::hash_api_key(secret, made.text));
  HEARTH_TRY_VOID(security::check(key));
  if (!options.json) {
    print(as_entry(key, made.text));
    return {};
  }
  OrderedJson document = {
      {"key", made.text}, {"id", key.id}, {"identity", key.identity}, {"hash", key.hash}};
  if (!key.expires.empty()) document["expires"] = key.expires;
  if (!key.roles.empty()) document["roles"] = key.roles;
  print(dump_json(document) + "\n");
  return {};
}

}  // namespace

void add_keys_create(CLI::App& group) {
  auto options = std::make_shared<Options>();
  CLI::App* command = group.add_subcommand(
      "create", "A new API key, shown once, and its entry for the configuration");
  command->add_option("IDENTITY", options->key.identity, "Whose it is: a name in [[identities]]")
      ->required();
  command->add_option("--expires", options->key.expires,
                      "2027-06-30 (its end) or 2027-06-30T12:00:00Z [never]");
  command
      ->add_option("--role", options->key.roles,
                   "Of the identity's roles only this one; may be repeated [all]")
      ->allow_extra_args(false);
  command->add_option("--site-secret", options->site_secret,
                      "What the server's site_secret says: file:PATH or env:NAME [a file in the "
                      "folder of the models]");
  command->add_flag("--json", options->json, "One JSON document");
  command->callback([options] { finish_command(create(*options)); });
}

}  // namespace hearth::apps
