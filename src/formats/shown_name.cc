#include "formats/shown_name.h"

namespace hearth {

std::string shown_name(std::string_view name) {
  constexpr std::size_t kShown = 60;
  std::string shown(name.substr(0, kShown));
  for (char& c : shown) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  if (name.size() > kShown) shown += "...";
  return shown;
}

}  // namespace hearth
