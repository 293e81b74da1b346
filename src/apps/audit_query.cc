// hearth audit query: the requests, refusals and acts of an audit log.
#include <memory>

#include "apps/audit_options.h"
#include "apps/commands.h"
#include "apps/model_options.h"

namespace hearth::apps {
namespace {

constexpr std::int64_t kLimit = 100;

struct Options {
  AuditReading reading;
  std::int64_t limit = kLimit;
  bool json = false;
};

std::string shown(const OrderedJson& row, const char* name) {
  const std::string text = security::audit_text(row, name);
  return text.empty() ? "-" : text;
}

std::string as_table(const std::vector<OrderedJson>& rows) {
  std::string out = fmt::format("{:27}  {:10}  {:16}  {:24}  {:20}  {:>6}  {:12}  {}\n", "TIME",
                                "KIND", "IDENTITY", "ROUTE", "MODEL", "STATUS", "RESULT", "TOKENS");
  for (const OrderedJson& row : rows) {
    const std::string route = row.contains("act") ? shown(row, "act") : shown(row, "route");
    const std::uint64_t status = security::audit_number(row, "status");
    out += fmt::format("{:27}  {:10}  {:16}  {:24}  {:20}  {:>6}  {:12}  {}+{}\n",
                       shown(row, "time"), shown(row, "kind"), shown(row, "identity"), route,
                       shown(row, row.contains("model") ? "model" : "target"),
                       status == 0 ? "-" : std::to_string(status), shown(row, "result"),
                       security::audit_number(row, "prompt_tokens"),
                       security::audit_number(row, "completion_tokens"));
  }
  return out;
}

Status query(Options options) {
  HEARTH_TRY_VOID(check(options.reading));
  options.reading.filter.limit = static_cast<std::size_t>(options.limit);
  HEARTH_TRY(const auto rows, read_audit_rows(options.reading));
  print(options.json ? dump_json(OrderedJson(rows)) + "\n" : as_table(rows));
  return {};
}

}  // namespace

void add_audit_query(CLI::App& group) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      group.add_subcommand("query", "Show requests (both of their records in one), refusals, acts");
  security::AuditFilter& filter = options->reading.filter;
  add_audit_reading(*command, options->reading);
  command->add_option("--identity", filter.identity, "Whose");
  command->add_option("--kind", filter.kind, "Only these: request, refused, act, start, stop, ...")
      ->check(CLI::IsMember(
          {"request", "refused", "act", "start", "stop", "checkpoint", "trim", "lost"}));
  command->add_option("--result", filter.result,
                      "Only these: ok, refused, failed, cancelled, interrupted, open");
  command->add_option("--limit", options->limit, "The newest so many")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1'000'000'000}));
  command->add_flag("--json", options->json, "One JSON document");
  command->callback([options] { finish_command(query(*options)); });
}

}  // namespace hearth::apps
