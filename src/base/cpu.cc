#include "base/cpu.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <string_view>

namespace hearth {
namespace {

struct Named {
  Isa isa;
  const char* name;
};
constexpr Named kNames[] = {{Isa::kScalar, "scalar"},         {Isa::kAvx2, "avx2"},
                            {Isa::kAvxVnni, "avxvnni"},       {Isa::kAvx512, "avx512"},
                            {Isa::kAvx512Bf16, "avx512bf16"}, {Isa::kAmx, "amx"}};

// The number after `key` in a file of "key value" lines, or -1.
std::int64_t read_field(const char* path, std::string_view key) {
  std::ifstream file(path);
  std::string word;
  while (file >> word) {
    if (word != key) continue;
    std::int64_t value = -1;
    return (file >> value) ? value : -1;
  }
  return -1;
}

// The first number of a one-line file, or -1 (also for the word "max").
std::int64_t read_number(const char* path) {
  std::ifstream file(path);
  std::int64_t value = -1;
  return (file >> value) ? value : -1;
}

#if defined(__x86_64__)
// The kernel keeps room for a thread's tiles only in processes that have asked for them.
bool may_use_tiles() {
  constexpr int kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr int kTileData = 18;               // XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}
#endif

}  // namespace

const char* isa_name(Isa isa) {
  for (const Named& n : kNames)
    if (n.isa == isa) return n.name;
  return "unknown";
}

std::vector<Isa> supported_isas() {
  std::vector<Isa> isas = {Isa::kScalar};
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("f16c");
  if (avx2) isas.push_back(Isa::kAvx2);
  if (avx2 && __builtin_cpu_supports("avxvnni")) isas.push_back(Isa::kAvxVnni);
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni");
  if (avx512) isas.push_back(Isa::kAvx512);
  const bool bf16 = avx512 && __builtin_cpu_supports("avx512bf16");
  if (bf16) isas.push_back(Isa::kAvx512Bf16);
  if (bf16 && __builtin_cpu_supports("amx-tile") && __builtin_cpu_supports("amx-int8") &&
      __builtin_cpu_supports("amx-bf16") && may_use_tiles())
    isas.push_back(Isa::kAmx);
#endif
  return isas;
}

Result<std::optional<Isa>> forced_isa() {
  const auto isas = supported_isas();
  const char* forced = std::getenv("HEARTH_ISA");
  if (!forced || !*forced) return std::nullopt;
  for (const Named& n : kNames) {
    if (std::string_view(forced) != n.name) continue;
    if (std::find(isas.begin(), isas.end(), n.isa) != isas.end()) return n.isa;
    return fail(ErrorKind::kUnsupported, "isa_unsupported",
                "HEARTH_ISA={}: this processor does not have it", forced);
  }
  return invalid("isa_unknown",
                 "HEARTH_ISA={}: known are scalar, avx2, avxvnni, avx512, avx512bf16, amx", forced);
}

std::string cpu_model_name() {
  std::ifstream file("/proc/cpuinfo");
  std::string line;
  while (std::getline(file, line)) {
    if (!line.starts_with("model name")) continue;
    const auto colon = line.find(':');
    if (colon != std::string::npos && colon + 2 < line.size()) return line.substr(colon + 2);
  }
  return "unknown";
}

void run_in_short_slices() {
  // As in linux/sched/types.h, which does not go together with sched.h.
  struct {
    std::uint32_t size = 48;
    std::uint32_t policy = 0;  // SCHED_OTHER
    std::uint64_t flags = 0;
    std::int32_t nice = 0;
    std::uint32_t priority = 0;
    std::uint64_t runtime = 100'000;  // ns: the shortest slice that there is
    std::uint64_t deadline = 0;
    std::uint64_t period = 0;
  } attributes;
  attributes.nice = getpriority(PRIO_PROCESS, 0);
  (void)syscall(SYS_sched_setattr, 0, &attributes, 0);
}

int usable_cores(const Topology& topology) {
  int cores = topology.cores();
  std::ifstream file("/sys/fs/cgroup/cpu.max");  // "quota period" or "max period", cgroup v2
  double quota = 0;
  double period = 0;
  if (file >> quota >> period && period > 0)
    cores = std::clamp(static_cast<int>(std::ceil(quota / period)), 1, cores);
  return cores;
}

std::int64_t available_memory() {
  std::int64_t bytes = read_field("/proc/meminfo", "MemAvailable:") * 1024;
  const std::int64_t limit = read_number("/sys/fs/cgroup/memory.max");
  const std::int64_t used = read_number("/sys/fs/cgroup/memory.current");
  if (limit > 0 && used >= 0) bytes = std::min(bytes, std::max<std::int64_t>(0, limit - used));
  return std::max<std::int64_t>(bytes, 0);
}

}  // namespace hearth
