// hearth keys: keys and certificates.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <climits>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "apps/commands.h"
#include "apps/model_options.h"
#include "net/self_signed.h"

namespace hearth::apps {
namespace {

constexpr std::int64_t kDaysMax = 3650;

struct SelfSignedOptions {
  std::string folder;
  std::vector<std::string> hosts;
  std::int64_t days = 90;
};

std::vector<std::string> hosts_here() {
  std::vector<std::string> hosts{"localhost", "127.0.0.1", "::1"};
  char name[HOST_NAME_MAX + 1] = {};
  if (gethostname(name, HOST_NAME_MAX) == 0 && name[0] != '\0' && hosts.front() != name)
    hosts.emplace_back(name);
  return hosts;
}

Status make_self_signed(const SelfSignedOptions& options) {
  HEARTH_TRY(const net::SelfSigned made,
             net::make_self_signed(options.hosts.empty() ? hosts_here() : options.hosts,
                                   options.days, std::chrono::system_clock::now()));
  HEARTH_TRY_VOID(net::write_self_signed(made, options.folder));
  const std::string certificate = (std::filesystem::path(options.folder) / "cert.pem").string();
  const std::string key = (std::filesystem::path(options.folder) / "key.pem").string();
  print(
      fmt::format("{}\n{}\nSHA-256 {}\n\n"
                  "Serve with it:  hearth serve --tls-cert {} --tls-key {}\n"
                  "Ask with it:    curl --cacert {} https://{}:8080/v1/models\n"
                  "Nobody else vouches for it: for a first try, not for what has to be safe.\n",
                  certificate, key, made.fingerprint, certificate, key, certificate,
                  options.hosts.empty() ? "localhost" : options.hosts.front()));
  return {};
}

void add_self_signed(CLI::App& group) {
  auto options = std::make_shared<SelfSignedOptions>();
  CLI::App* command = group.add_subcommand(
      "tls-selfsigned", "A certificate for a first try with https: cert.pem and key.pem");
  command->add_option("OUT_DIR", options->folder, "The folder; made if it is missing")->required();
  command
      ->add_option("--host", options->hosts,
                   "Name or address under which the server is asked; may be repeated [localhost, "
                   "127.0.0.1, ::1 and this machine's name]")
      ->allow_extra_args(false);
  command->add_option("--days", options->days, "How long it is valid")
      ->check(CLI::Range(std::int64_t{1}, kDaysMax));
  command->callback([options] { finish_command(make_self_signed(*options)); });
}

}  // namespace

void add_keys(CLI::App& root) {
  CLI::App* group = root.add_subcommand("keys", "Keys and certificates");
  group->require_subcommand(1);
  add_keys_create(*group);
  add_self_signed(*group);
}

}  // namespace hearth::apps
