// Everything that the .inl files use, included before any target region opens: code of the standard
// library must never be compiled for an ISA that the machine may lack.
#pragma once

#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "base/result.h"
#include "kernels/ops.h"
#include "kernels/packed.h"

// std::exp and others are called by name inside namespaces that have an exp of their own.
