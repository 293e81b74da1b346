// What each message of the log passes through before it is written.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace hearth::log {

using Filter = std::function<std::string(std::string_view message)>;

// May be called at any time; an empty one: messages are written as they are. A client's own words,
// such as its X-Request-Id, stand in some of them.
void set_filter(Filter filter);

}  // namespace hearth::log
