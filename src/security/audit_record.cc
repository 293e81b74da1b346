#include "security/audit_record.h"

#include <algorithm>
#include <optional>
#include <span>
#include <utility>

#include "crypto/hmac.h"
#include "crypto/sha256.h"

namespace hearth::security {
namespace {

// Nothing else that this key signs begins so.
constexpr std::string_view kSigned = "hearth audit checkpoint 1\n";
constexpr std::string_view kSignature = ",\"sig\":\"";
constexpr std::size_t kSignatureDigits = 2 * sizeof(crypto::Ed25519Signature);

std::optional<int> digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return std::nullopt;
}

bool unhex(std::string_view text, std::span<std::byte> out) {
  if (text.size() != 2 * out.size()) return false;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto high = digit(text[2 * i]);
    const auto low = digit(text[2 * i + 1]);
    if (!high || !low) return false;
    out[i] = static_cast<std::byte>(*high * 16 + *low);
  }
  return true;
}

std::string to_sign(std::string_view line) { return std::string(kSigned) + std::string(line); }

bool is_time(std::string_view text) {
  constexpr std::string_view kShape = "0000-00-00T00:00:00.000000Z";
  if (text.size() != kShape.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool wants_digit = kShape[i] == '0';
    if (wants_digit ? text[i] < '0' || text[i] > '9' : text[i] != kShape[i]) return false;
  }
  return true;
}

tl::unexpected<Error> damaged(const char* what) { return invalid("audit_damaged", "{}", what); }

}  // namespace

std::string audit_time(std::chrono::system_clock::time_point time) {
  using namespace std::chrono;
  const auto exact = floor<microseconds>(time);
  const auto day = floor<days>(exact);
  const year_month_day date(day);
  const hh_mm_ss clock(exact - day);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count(),
                     clock.subseconds().count());
}

std::string audit_line(const AuditHead& head, std::string_view time, const AuditRecord& record) {
  OrderedJson line = {
      {"seq", head.seq + 1}, {"time", time}, {"instance", head.instance}, {"kind", record.kind}};
  for (const auto& [name, value] : record.fields.items()) line[name] = value;
  line["prev"] = head.hash;
  return dump_json(line);
}

std::string signed_audit_line(std::string line, const crypto::Ed25519Key& key) {
  const std::string text = to_sign(line);
  const auto signature = key.sign(std::as_bytes(std::span(text)));
  line.pop_back();  // the closing brace
  return fmt::format("{}{}{}\"}}", line, kSignature, crypto::hex(signature));
}

bool audit_signature_holds(std::string_view line, const crypto::Ed25519Public& key) {
  const std::size_t tail = kSignature.size() + kSignatureDigits + 2;
  if (line.size() < tail || !line.ends_with("\"}")) return false;
  const std::size_t at = line.size() - tail;
  if (line.substr(at, kSignature.size()) != kSignature) return false;
  crypto::Ed25519Signature signature{};
  if (!unhex(line.substr(at + kSignature.size(), kSignatureDigits), signature)) return false;
  const std::string text = to_sign(line.substr(0, at)) + "}";
  return crypto::ed25519_verify(key, std::as_bytes(std::span(text)), signature);
}

std::string audit_hash(std::string_view line) { return crypto::sha256_hex(line); }

std::string audit_text(const OrderedJson& document, const char* name) {
  const auto found = document.find(name);
  return found != document.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::uint64_t audit_number(const OrderedJson& document, const char* name) {
  const auto found = document.find(name);
  return found != document.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

Result<AuditEntry> parse_audit_line(std::string_view line) {
  auto document = parse_json_ordered(line);
  if (!document || !document->is_object()) return damaged("this is no JSON object");
  AuditEntry entry;
  entry.line = line;
  entry.hash = audit_hash(line);
  entry.seq = audit_number(*document, "seq");
  entry.time = audit_text(*document, "time");
  entry.instance = audit_text(*document, "instance");
  entry.kind = audit_text(*document, "kind");
  entry.prev = audit_text(*document, "prev");
  if (entry.seq == 0) return damaged("there is no number of the record (seq)");
  if (!is_time(entry.time)) return damaged("there is no time");
  if (entry.instance.empty() || entry.kind.empty()) return damaged("there is no instance or kind");
  if (!crypto::is_sha256_hex(entry.prev)) return damaged("there is no hash of the line before");
  entry.document = *std::move(document);
  return entry;
}

Result<crypto::Ed25519Public> parse_audit_signer(std::string_view hex) {
  crypto::Ed25519Public key{};
  if (!unhex(hex, key)) return damaged("the signer is no Ed25519 key");
  return key;
}

}  // namespace hearth::security
