#include "apps/load_plan.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numbers>
#include <optional>
#include <vector>

namespace hearth::apps {
namespace {

// Short and frequent, so that most are one token for any tokenizer.
constexpr std::string_view kWords =
    "able about above across act add afraid after again age agree air all almost alone along also "
    "always among angry animal answer any apple area arm army around arrive art ask autumn away "
    "baby back bad bag ball bank base bath be bean bear beat bed before begin behind bell below "
    "best better between big bird birth bit bite black blood blow blue board boat body bone book "
    "both bottle bottom box boy branch brave bread break bridge bright bring broad brother brown "
    "build burn bus busy but buy by cake call can cap car card care carry case cat catch chair "
    "chance change cheap chest chief child choose church circle city class clean clear climb clock "
    "close cloth cloud coat coffee cold collect colour come common cook cool copper corn corner "
    "cost count country course cover cow cross crowd cry cup cut dance dark daughter day dead deal "
    "dear deep desk detail different dinner dirty doctor dog door double down draw dream dress "
    "drink drive drop dry dust each ear early earth east easy eat edge egg eight either empty end "
    "engine enough enter equal even evening ever every exact eye face fact fair fall family famous "
    "far farm fast father fear feed feel few field fight fill find fine finger finish fire first "
    "fish five flat floor flower fly follow food foot force forest forget form four free fresh "
    "friend from front fruit full game garden gate gather general get gift girl give glad glass go "
    "goat gold good grand grass great green grey ground group grow guess guide hair half hall hand "
    "hang happen happy hard hat have head hear heart heat heavy help here hide high hill history "
    "hold hole home hope horse hot hotel hour house how hundred hunt hurry ice idea if inch "
    "increase inside iron island job join joy jump just keep key kill kind king kitchen knee knife "
    "knock know lady lake lamp land large last late laugh law lead leaf learn leave left leg lend "
    "length less let letter level lie life lift light like line lion lip list listen little live "
    "lock long look lose lot love low luck machine main make man map mark market matter may meal "
    "mean measure meat meet metal middle mile milk mill mind minute miss moment money month moon "
    "more morning most mother mountain mouth move much music must name narrow nature near neck "
    "need "
    "needle never new news next nice night nine noise north nose note nothing now number ocean off "
    "offer office oil old once one only open orange order other our out over own page pain paint "
    "pair paper park part party pass past path pay peace pen people pepper perhaps person picture "
    "piece pig pin place plan plant plate play please plenty point pond poor possible pot potato "
    "power present press pretty price prince print prize public pull pupil push put queen question "
    "quick quiet radio rain raise reach read ready real red remember rest rice rich ride right "
    "ring "
    "rise river road rock roof room rope rose round rule run sad safe sail salt same sand save say "
    "school science sea seat second see seed seem sell send seven several shade shadow shake shape "
    "share sharp sheep sheet shelf ship shirt shoe shop short should shoulder shout show side sign "
    "silver simple since sing sister sit six size skill skin sky sleep slow small smell smile "
    "smoke "
    "snow soap soft some son song soon sound soup south space speak speed spend spoon sport spread "
    "spring square stamp stand star start station stay steal steam steel step still stone stop "
    "store storm story strange street strong student study sugar summer sun sure sweet swim table "
    "tail take talk tall taste tea teach team tell ten tent test thank then thick thin thing think "
    "third this thread three through thumb ticket tie tiger till time tin tired today together "
    "tomorrow tongue tool tooth top touch town train travel tree trip true trust try turn twelve "
    "two uncle under until use usual valley value very village visit voice wait walk wall want "
    "warm "
    "wash waste watch water way weather week weight well west wet what wheel when where which "
    "while "
    "white who why wide wife wild will win wind window wine winter wire wise wish with wolf woman "
    "wonder wood wool word work world worry write wrong yard year yellow yes yesterday yet you "
    "young zoo";

const std::vector<std::string_view>& words() {
  static const std::vector<std::string_view> list = [] {
    std::vector<std::string_view> out;
    std::string_view rest = kWords;
    while (!rest.empty()) {
      const std::size_t end = std::min(rest.find(' '), rest.size());
      out.push_back(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return out;
  }();
  return list;
}

// Each kind of draw has a sequence of its own: longer answers do not change the prompts.
enum Stream : std::uint64_t { kShared, kOwn, kTokens, kArrival, kDigits };

constexpr std::uint64_t kDigitsMax = 4;  // 734^4 prompts: more than anyone sends

std::uint64_t mixed(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

template <class T>
std::optional<T> number_of(std::string_view text) {
  T value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

void add_word(std::string& text, std::uint64_t index) {
  if (!text.empty()) text += ' ';
  text += words()[index];
}

}  // namespace

LoadRandom::LoadRandom(std::uint64_t seed, std::uint64_t stream, std::uint64_t number)
    : state_(mixed(mixed(mixed(seed) + stream) + number)) {}

std::uint64_t LoadRandom::next() { return mixed(state_ += 0x9e3779b97f4a7c15u); }

double LoadRandom::uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }

// The bounds are small against 2^64: the remainder is as good as even.
std::uint64_t LoadRandom::below(std::uint64_t bound) { return next() % bound; }

double LoadRandom::exponential() { return -std::log1p(-uniform()); }

double LoadRandom::normal() {  // Box and Muller 1958
  const double radius = std::sqrt(2 * exponential());
  return radius * std::cos(2 * std::numbers::pi * uniform());
}

std::int64_t Length::draw(LoadRandom& random) const {
  switch (kind) {
    case Kind::kFixed:
      return low;
    case Kind::kUniform:
      return low +
             static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(high - low) + 1));
    case Kind::kLognormal:
      break;
  }
  const double drawn = std::round(median * std::exp(sigma * random.normal()));
  return static_cast<std::int64_t>(std::clamp(drawn, 1.0, static_cast<double>(kMax)));
}

Result<Length> parse_length(std::string_view text) {
  const auto in_range = [](const auto& n) { return n && *n >= 1 && *n <= Length::kMax; };
  constexpr std::string_view kLognormal = "lognormal:";
  if (text.starts_with(kLognormal)) {
    const std::string_view numbers = text.substr(kLognormal.size());
    const std::size_t comma = std::min(numbers.find(','), numbers.size());
    const auto median = number_of<double>(numbers.substr(0, comma));
    const auto sigma = number_of<double>(numbers.substr(std::min(comma + 1, numbers.size())));
    if (in_range(median) && sigma && *sigma >= 0 && *sigma <= 5)
      return Length{Length::Kind::kLognormal, 1, Length::kMax, *median, *sigma};
  } else {
    const std::size_t dash = text.find('-');
    const auto low = number_of<std::int64_t>(text.substr(0, dash));
    const auto high =
        dash == std::string_view::npos ? low : number_of<std::int64_t>(text.substr(dash + 1));
    if (in_range(low) && in_range(high) && *low <= *high)
      return Length{*low == *high ? Length::Kind::kFixed : Length::Kind::kUniform, *low, *high};
  }
  return invalid("invalid_length",
                 "\"{}\" is no length: N, A-B or lognormal:MEDIAN,SIGMA, from 1 to {}, SIGMA at "
                 "most 5",
                 text, Length::kMax);
}

LoadPlan::LoadPlan(const LoadPlanOptions& options) : options_(options) {
  LoadRandom random(options_.seed, kShared, 0);
  for (std::int64_t i = 0; i < options_.shared_words; ++i)
    add_word(shared_, random.below(words().size()));
}

PlannedRequest LoadPlan::request(std::uint64_t number) const {
  const std::uint64_t base = words().size();
  LoadRandom own(options_.seed, kOwn, number);
  LoadRandom tokens(options_.seed, kTokens, number);
  PlannedRequest out;
  out.max_tokens = options_.max_tokens.draw(tokens);
  out.prompt = shared_;
  std::int64_t left = options_.words.draw(own);
  // The number's digits, the lowest first, each shifted by what the seed and the lower ones say:
  // all that it has, and up to kDigitsMax where there is room, so that no word of another prompt
  // can be taken for a digit.
  std::uint64_t rest = number, lower = 0, unit = 1;
  for (std::uint64_t k = 0; k == 0 || rest > 0 || (k < kDigitsMax && left > 0); ++k, --left) {
    const std::uint64_t digit = rest % base;
    LoadRandom shift(options_.seed, kDigits + k, lower);
    add_word(out.prompt, (digit + shift.below(base)) % base);
    rest /= base;
    lower += digit * unit;
    unit *= base;
  }
  for (; left > 0; --left) add_word(out.prompt, own.below(base));
  return out;
}

std::chrono::nanoseconds LoadPlan::gap(std::uint64_t number) const {
  LoadRandom random(options_.seed, kArrival, number);
  // What fits into nanoseconds.
  const double seconds = std::min(random.exponential() / options_.rate, 1e9);
  return std::chrono::nanoseconds(static_cast<std::int64_t>(seconds * 1e9));
}

std::size_t load_word_count() { return words().size(); }

}  // namespace hearth::apps
