#include "security/context_words.h"

#include <algorithm>
#include <iterator>

namespace hearth::security {
namespace {

// Between a label and its number.
constexpr std::string_view kConnectors[] = {
    " ",   "\t",   "\xC2\xA0", ":",    "：",   "#",   "＃",  "=",   "\"", "'",   "“",
    "‘",   "(",    "（",       "[",    "【",   "「",  "<",   "《",  "*",  "`",   "_",
    "-",   "是",   "为",       "at",   "is",   "are", "was", "no.", "no", "nr.", "number",
    "num", "code", "id",       "号码", "编号", "号",  "№",   "：",  "—"};

constexpr std::string_view kOthers[] = {
    "单号",        "订单",     "运单",   "流水",     "交易",      "票据",        "发票",
    "合同",        "物料",     "工单",   "案件",     "序列",      "批次",        "条码",
    "条形码",      "时间戳",   "哈希",   "校验和",   "回执",      "凭证",        "保单",
    "order",       "tracking", "parcel", "shipment", "waybill",   "consignment", "invoice",
    "transaction", "trace",    "span",   "serial",   "ticket",    "sku",         "batch",
    "reference",   "ref",      "ref.",   "receipt",  "timestamp", "hash",        "checksum",
    "isbn",        "imei",     "meid",   "ean",      "gtin",      "upc",         "build",
    "iban",        "s/n",      "docket", "nonce",    "epoch"};

constexpr std::string_view kCards[] = {
    "卡",       "账号", "帐号",     "账户",    "帐户",    "银联", "card",  "visa", "mastercard",
    "unionpay", "amex", "discover", "maestro", "account", "acct", "debit", "pan:"};

constexpr std::string_view kPhoneNames[] = {"tel",  "phone",   "mobile", "cell",    "mob",
                                            "call", "contact", "number", "no",      "wechat",
                                            "wx",   "msisdn",  "sms",    "whatsapp"};

constexpr std::string_view kCardNames[] = {"card", "visa", "mastercard", "unionpay",
                                           "pan",  "acct", "account"};

constexpr std::string_view kEscapes[] = {"\\n", "\\t", "\\r", "%2b", "%20", "%3a", "%3d", "%0a"};

constexpr std::string_view kCurrencies[] = {"$", "¥", "￥", "€", "£"};

template <std::size_t N>
bool ends_with_any(std::string_view line, const std::string_view (&words)[N]) {
  return std::any_of(std::begin(words), std::end(words),
                     [&](std::string_view word) { return line.ends_with(word); });
}

bool is_ascii_letter(char c) { return c >= 'a' && c <= 'z'; }
bool is_ascii_digit(char c) { return c >= '0' && c <= '9'; }

// An ASCII word of a list has to begin where a word begins: "no" is not the end of "piano".
bool is_whole(std::string_view line, std::string_view word) {
  if (!is_ascii_letter(word.front())) return true;
  return line.size() == word.size() || !is_ascii_letter(line[line.size() - word.size() - 1]);
}

// The length of the longest connector at the end; 0: none.
std::size_t connector_at_end(std::string_view line) {
  std::size_t longest = 0;
  for (const std::string_view word : kConnectors) {
    if (line.ends_with(word) && is_whole(line, word)) longest = std::max(longest, word.size());
  }
  return longest;
}

}  // namespace

bool labelled_as_other(std::string_view line) {
  constexpr int kConnectorsMax = 8;
  for (int i = 0; i <= kConnectorsMax; ++i) {
    const bool named = std::any_of(
        std::begin(kOthers), std::end(kOthers),
        [&](std::string_view word) { return line.ends_with(word) && is_whole(line, word); });
    if (named) return true;
    const std::size_t connector = connector_at_end(line);
    if (connector == 0) return false;
    line.remove_suffix(connector);
  }
  return false;
}

bool speaks_of_card(std::string_view line) {
  constexpr std::size_t kNear = 96;  // bytes
  line = line.substr(line.size() - std::min(line.size(), kNear));
  return std::any_of(std::begin(kCards), std::end(kCards), [&](std::string_view word) {
    return line.find(word) != std::string_view::npos;
  });
}

bool letters_allowed_before(std::string_view line) {
  if (line.empty() || !is_ascii_letter(line.back())) return true;
  return ends_with_any(line, kEscapes) || ends_with_any(line, kPhoneNames) ||
         ends_with_any(line, kCardNames);
}

bool inside_url(std::string_view line) {
  // The last stretch without a space and without anything that is not ASCII.
  std::size_t start = line.size();
  while (start > 0) {
    const auto c = static_cast<unsigned char>(line[start - 1]);
    if (c <= ' ' || c >= 0x80 || c == '"' || c == '<' || c == '>') break;
    --start;
  }
  std::string_view word = line.substr(start);
  if (word.find("://") == std::string_view::npos && !word.starts_with("www.")) return false;
  for (const std::string_view sign : {"+", "%2b", "=", "/", ":", "%3d"}) {
    if (word.ends_with(sign)) word.remove_suffix(sign.size());
  }
  return !ends_with_any(word, kPhoneNames) && !ends_with_any(word, kCardNames) &&
         !word.ends_with("wa.me");
}

bool inside_iban(std::string_view line) {
  constexpr std::size_t kGroup = 4;
  constexpr int kGroupsMax = 9;  // of 34 characters
  // Backwards over groups to the one that the country's letters and the check digits make.
  for (int group = 0; group < kGroupsMax; ++group) {
    if (line.ends_with('-') || line.ends_with(' ')) line.remove_suffix(1);
    if (line.size() < kGroup) return false;
    const std::string_view word = line.substr(line.size() - kGroup);
    line.remove_suffix(kGroup);
    const bool whole =
        line.empty() || !(is_ascii_letter(line.back()) || is_ascii_digit(line.back()));
    if (!whole) return false;
    if (is_ascii_letter(word[0]) && is_ascii_letter(word[1]) && is_ascii_digit(word[2]) &&
        is_ascii_digit(word[3]))
      return true;
    const bool alike = std::all_of(word.begin(), word.end(),
                                   [](char c) { return is_ascii_letter(c) || is_ascii_digit(c); });
    if (!alike) return false;
  }
  return false;
}

bool after_currency(std::string_view line) { return ends_with_any(line, kCurrencies); }

}  // namespace hearth::security
