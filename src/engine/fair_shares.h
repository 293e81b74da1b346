// Who has had how much of an engine: virtual token counters (Sheng et al., "Fairness in Serving
// Large Language Models", OSDI 2024, arXiv 2401.00588). Whoever has had least comes first. A tenant
// that comes back begins where the least served of those present stands: idle time is not saved up,
// and a debt is not forgotten by going away.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

namespace hearth::engine {

class FairShares {
 public:
  struct Tenant {
    double had = 0;            // tokens over weight, with what it was lifted by
    std::int64_t present = 0;  // sequences that wait or run
  };

  // One more sequence of it waits or runs, until leave(). The entry stays where it is till then.
  Tenant& enter(const std::string& name);
  void leave(Tenant& tenant);

  // Work was done for it. weight > 0: with twice the weight, tokens count half.
  static void charge(Tenant& tenant, double tokens, double weight);

  std::size_t size() const { return tenants_.size(); }  // present or in debt

 private:
  void raise_level();

  std::unordered_map<std::string, Tenant> tenants_;
  // The least of those present; once there are none, what the last of them had. Never falls.
  double level_ = 0;
};

}  // namespace hearth::engine
