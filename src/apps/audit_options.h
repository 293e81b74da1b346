// What the commands that read an audit log have in common.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "security/audit_summary.h"

namespace hearth::apps {

struct AuditReading {
  std::string folder;
  security::AuditFilter filter;  // its times as they were typed, until check()
};

// FOLDER, --since, --until.
void add_audit_reading(CLI::App& command, AuditReading& reading);
Status check(AuditReading& reading);  // "invalid_time"

Result<std::vector<OrderedJson>> read_audit_rows(const AuditReading& reading);

// Cells that no spreadsheet takes for formulas; a line for each row.
std::string audit_csv(const std::vector<OrderedJson>& rows);

void add_audit_query(CLI::App& group);
void add_audit_export(CLI::App& group);

}  // namespace hearth::apps
