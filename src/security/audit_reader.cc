#include "security/audit_reader.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <utility>

namespace hearth::security {
namespace {

constexpr std::string_view kPrefix = "audit-";
constexpr std::string_view kSuffix = ".jsonl";
constexpr std::size_t kDigits = 20;
constexpr std::uint64_t kFileBytesMax = std::uint64_t{4} << 30;
constexpr std::uint64_t kLineBytesMax = 1 << 20;
constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();

std::optional<std::uint64_t> seq_of(std::string_view name) {
  if (name.size() != kPrefix.size() + kDigits + kSuffix.size() || !name.starts_with(kPrefix) ||
      !name.ends_with(kSuffix))
    return std::nullopt;
  const std::string_view digits = name.substr(kPrefix.size(), kDigits);
  std::uint64_t seq = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), seq);
  if (error != std::errc() || end != digits.data() + digits.size() || seq == 0) return std::nullopt;
  return seq;
}

// The whole lines of one file, each checked against the one before.
class Lines {
 public:
  Lines(const AuditFile& file, std::string content)
      : name_(file.path.substr(file.path.find_last_of('/') + 1)),
        content_(std::move(content)),
        next_seq_(file.first_seq) {}

  // None: the rest has no newline.
  Result<std::optional<AuditEntry>> next() {
    const std::size_t end = content_.find('\n', at_);
    if (end == std::string::npos) return std::optional<AuditEntry>();
    ++line_;
    auto entry = parse_audit_line(std::string_view(content_).substr(at_, end - at_));
    if (!entry) return damaged(entry.error().message);
    if (entry->seq != next_seq_)
      return damaged(fmt::format("record {} stands where {} must be", entry->seq, next_seq_));
    if (!hash_.empty() && entry->prev != hash_)
      return damaged("it does not hold the hash of the line before: one of the two was changed");
    hash_ = entry->hash;
    ++next_seq_;
    at_ = end + 1;
    return std::optional<AuditEntry>(*std::move(entry));
  }
  std::uint64_t rest_bytes() const { return content_.size() - at_; }
  bool has_line() const { return content_.find('\n') != std::string::npos; }
  tl::unexpected<Error> damaged(const std::string& what) const {
    return invalid("audit_damaged", "{}:{}: {}", name_, line_, what);
  }

 private:
  std::string name_;
  std::string content_;
  std::uint64_t next_seq_;
  std::string hash_;
  std::size_t at_ = 0;
  std::uint64_t line_ = 0;
};

Result<Lines> open_lines(FileSystem& fs, const AuditFile& file) {
  HEARTH_TRY(auto content, read_small_file(fs, file.path, kFileBytesMax));
  return Lines(file, std::move(content));
}

// Follows one file after another.
class Walker {
 public:
  explicit Walker(const std::function<Status(const AuditEntry&)>& visit) : visit_(visit) {}

  // `until`: the first record of the next file.
  Status file(Lines lines, std::uint64_t until) {
    ++walk_.files;
    for (;;) {
      HEARTH_TRY(const auto entry, lines.next());
      if (!entry) break;
      if (entry->seq >= until) {
        ++walk_.superseded;
        continue;
      }
      HEARTH_TRY_VOID(follows(*entry, lines));
      walk_.head = {entry->instance, entry->seq, entry->hash};
      ++walk_.records;
      HEARTH_TRY_VOID(visit_(*entry));
    }
    walk_.torn_bytes += lines.rest_bytes();
    return {};
  }
  void torn(const Lines& lines) { walk_.torn_bytes += lines.rest_bytes(); }
  const AuditWalk& result() const { return walk_; }

 private:
  Status follows(const AuditEntry& entry, const Lines& lines) {
    const AuditHead& head = walk_.head;
    if (walk_.records == 0) {
      walk_.first_seq = entry.seq;
      walk_.first_prev = entry.prev;
      if (entry.seq == 1 && entry.prev != AuditHead().hash)
        return lines.damaged("the first record of all has a hash of one before");
      return {};
    }
    if (entry.instance != head.instance) return lines.damaged("it is a record of another instance");
    if (entry.seq > head.seq + 1)
      return lines.damaged(
          fmt::format("the records {} to {} are missing", head.seq + 1, entry.seq - 1));
    if (entry.prev != head.hash)
      return lines.damaged(
          "it does not hold the hash of the line before: one of the two was "
          "changed");
    return {};
  }

  const std::function<Status(const AuditEntry&)>& visit_;
  AuditWalk walk_;
};

}  // namespace

std::string audit_file_name(std::uint64_t first_seq) {
  return fmt::format("{}{:020}{}", kPrefix, first_seq, kSuffix);
}

Result<std::vector<AuditFile>> list_audit_files(FileSystem& fs, const std::string& folder) {
  std::vector<AuditFile> files;
  auto entries = fs.list(folder);
  if (!entries && entries.error().kind == ErrorKind::kNotFound) return files;
  if (!entries) return tl::unexpected<Error>(entries.error());
  for (const FileInfo& info : *entries) {
    const auto seq = seq_of(info.name);
    if (seq && info.kind == FileKind::kFile)
      files.push_back({folder + "/" + info.name, *seq, info.size});
  }
  std::sort(files.begin(), files.end(),
            [](const AuditFile& a, const AuditFile& b) { return a.first_seq < b.first_seq; });
  return files;
}

Result<std::optional<AuditEntry>> first_audit_entry(FileSystem& fs, const AuditFile& file) {
  HEARTH_TRY(const auto reader, fs.open_read(file.path));
  std::string begin(std::min(reader->size(), kLineBytesMax), '\0');
  HEARTH_TRY(const std::size_t n, reader->read_at(0, begin));
  begin.resize(n);
  return Lines(file, std::move(begin)).next();
}

Result<AuditTail> read_audit_tail(FileSystem& fs, const std::string& folder) {
  HEARTH_TRY(const auto files, list_audit_files(fs, folder));
  AuditTail tail;
  for (auto file = files.rbegin(); file != files.rend(); ++file) {
    HEARTH_TRY(auto lines, open_lines(fs, *file));
    for (;;) {
      HEARTH_TRY(const auto entry, lines.next());
      if (!entry) break;
      tail.head = {entry->instance, entry->seq, entry->hash};
      tail.last_path = file->path;
    }
    tail.torn_bytes += lines.rest_bytes();
    if (!tail.last_path.empty()) return tail;
  }
  return tail;
}

Result<AuditWalk> walk_audit(FileSystem& fs, const std::string& folder,
                             const std::function<Status(const AuditEntry&)>& visit) {
  HEARTH_TRY(const auto files, list_audit_files(fs, folder));
  Walker walker(visit);
  std::optional<Lines> held;  // until it is known where the next one begins
  for (const AuditFile& file : files) {
    HEARTH_TRY(auto lines, open_lines(fs, file));
    if (!lines.has_line()) {
      walker.torn(lines);
      continue;
    }
    if (held) HEARTH_TRY_VOID(walker.file(*std::move(held), file.first_seq));
    held = std::move(lines);
  }
  if (held) HEARTH_TRY_VOID(walker.file(*std::move(held), kNever));
  return walker.result();
}

}  // namespace hearth::security
