// What stands around a number and tells what it is. All look at `line`: what comes before it in its
// line, ASCII letters in lower case (TextWindow::line_before).
#pragma once

#include <string_view>

namespace hearth::security {

// Named right before as the number of something else: an order, a parcel, an account statement.
bool labelled_as_other(std::string_view line);

// A word for a card or an account stands anywhere before.
bool speaks_of_card(std::string_view line);

// Ends with a letter that does not make the number a part of a word: "Tel", an escape ("\n",
// "%2B"). Also true without a letter at the end.
bool letters_allowed_before(std::string_view line);

// Inside of a web address, and not as the value of something called a phone or a card.
bool inside_url(std::string_view line);

// The groups belong to an IBAN ("DE89 3704 ..."), ISO 13616.
bool inside_iban(std::string_view line);

// Ends with the sign of a currency.
bool after_currency(std::string_view line);

}  // namespace hearth::security
