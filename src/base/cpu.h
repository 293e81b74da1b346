// What this processor can do and how many of its cores are ours.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/topology.h"

namespace hearth {

// Instruction-set families that kernels are written for, weakest first on each architecture.
enum class Isa { kScalar, kAvx2, kAvxVnni, kAvx512, kAvx512Bf16, kAmx };

const char* isa_name(
    Isa isa);  // as HEARTH_ISA spells it: "scalar", "avx2", "avxvnni", "avx512", ...

// The families that this machine can run, weakest first; kScalar always.
std::vector<Isa> supported_isas();

// The one HEARTH_ISA names, or nothing. An unknown or unsupported name is an error.
Result<std::optional<Isa>> forced_isa();

std::string cpu_model_name();  // "AMD EPYC 9555"; "unknown" where the system does not tell

// Physical cores this process may use: those of the affinity mask, cut by the cgroup's CPU quota;
// at least 1.
int usable_cores(const Topology& topology = Topology());

// Of the calling thread, which computes without a pause on a core that others need for moments: who
// wakes up there gets the core at once, and not when the thread's slice of some milliseconds is
// over. It loses no time over it. Linux 6.12; elsewhere nothing happens.
void run_in_short_slices();

// Memory this process may still use, in bytes: what the system has available, cut by the cgroup's
// limit.
std::int64_t available_memory();

}  // namespace hearth
