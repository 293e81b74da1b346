// One line of the audit log. docs/formats/audit.md says it to whoever writes another reader.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "crypto/ed25519.h"

namespace hearth::security {

// What is to be recorded. Kinds: start, stop, opened, closed, refused, act, checkpoint, trim, lost.
struct AuditRecord {
  std::string kind;
  OrderedJson fields = OrderedJson::object();  // in the order of the line
};

// Where a chain ends.
struct AuditHead {
  std::string instance;  // 32 hex digits: whose chain it is
  std::uint64_t seq = 0;
  std::string hash = std::string(64, '0');  // SHA-256 of the line with that number, in hex
};

// "2026-11-30T16:15:22.123456Z".
std::string audit_time(std::chrono::system_clock::time_point time);

// The line after `head`, without its newline.
std::string audit_line(const AuditHead& head, std::string_view time, const AuditRecord& record);
// The same line with a signature of all that it says at its end.
std::string signed_audit_line(std::string line, const crypto::Ed25519Key& key);
bool audit_signature_holds(std::string_view line, const crypto::Ed25519Public& key);
std::string audit_hash(std::string_view line);

struct AuditEntry {
  std::string line;  // without its newline
  std::string hash;
  std::uint64_t seq = 0;
  std::string time;
  std::string instance;
  std::string kind;
  std::string prev;
  OrderedJson document;  // all of it
};
// "audit_damaged": it is no such line.
Result<AuditEntry> parse_audit_line(std::string_view line);

// A field of a document, or what stands for it where it is missing or of another type.
std::string audit_text(const OrderedJson& document, const char* name);
std::uint64_t audit_number(const OrderedJson& document, const char* name);

Result<crypto::Ed25519Public> parse_audit_signer(std::string_view hex);  // "audit_damaged"

}  // namespace hearth::security
