#include "engine/fair_shares.h"

#include <algorithm>
#include <limits>

#include "base/result.h"

namespace hearth::engine {

void FairShares::raise_level() {
  double least = std::numeric_limits<double>::infinity();
  for (const auto& [name, tenant] : tenants_)
    if (tenant.present > 0) least = std::min(least, tenant.had);
  if (least < std::numeric_limits<double>::infinity()) level_ = std::max(level_, least);
}

FairShares::Tenant& FairShares::enter(const std::string& name) {
  raise_level();
  Tenant& tenant = tenants_[name];
  if (tenant.present++ == 0) tenant.had = std::max(tenant.had, level_);
  return tenant;
}

void FairShares::leave(Tenant& tenant) {
  raise_level();
  HEARTH_CHECK(tenant.present > 0);
  if (--tenant.present > 0) return;
  const bool alone = std::none_of(tenants_.begin(), tenants_.end(),
                                  [](const auto& entry) { return entry.second.present > 0; });
  if (alone) level_ = std::max(level_, tenant.had);
  // Who would be lifted anyway need not be remembered.
  std::erase_if(tenants_, [this](const auto& entry) {
    return entry.second.present == 0 && entry.second.had <= level_;
  });
}

void FairShares::charge(Tenant& tenant, double tokens, double weight) {
  HEARTH_CHECK(weight > 0);
  tenant.had += tokens / weight;
}

}  // namespace hearth::engine
