// Norms, gates, rotary embedding, reductions.
//
// All of it streams through rows that lie in the first- or second-level cache, 1 to 3 loads or stores
// for each vector of 16: with exponentials (gates: about 20 instructions a vector, logsumexp: 15)
// arithmetic is the limit, else the cache's bandwidth. Reductions keep vectors until the end.

// e^x with a relative error under 2e-7: x = n ln 2 + r, a degree-6 polynomial for e^r (Cephes
// expf), 2^n into the exponent. Below -87 the result stays at about 1e-38.
HEARTH_INLINE Vf exp(Vf x) {
  x = min(max(x, set1(-87.f)), set1(88.f));
  const Vi n = round_to_int(mul(x, set1(1.44269504088896341f)));
  const Vf nf = to_float(n);
  Vf r = fnma(nf, set1(0.693359375f), x);
  r = fnma(nf, set1(-2.12194440e-4f), r);
  Vf p = set1(1.9875691500e-4f);
  p = fma(p, r, set1(1.3981999507e-3f));
  p = fma(p, r, set1(8.3334519073e-3f));
  p = fma(p, r, set1(4.1665795894e-2f));
  p = fma(p, r, set1(1.6666665459e-1f));
  p = fma(p, r, set1(5.0000001201e-1f));
  p = fma(p, mul(r, r), add(r, set1(1.f)));
  return scale_pow2(p, n);
}
// 1 / (1 + e^-x)
HEARTH_INLINE Vf sigmoid(Vf x) { return div(set1(1.f), add(set1(1.f), exp(sub(zero(), x)))); }
HEARTH_INLINE Vf tanh(Vf x) {  // 2 sigmoid(2x) - 1: absolute error under 3e-7
  return sub(mul(set1(2.f), sigmoid(add(x, x))), set1(1.f));
}

// exp() clamps its argument, which would turn NaN into a number: carry it over by hand.
HEARTH_INLINE Vf with_nan_of(Vf y, Vf x) { return add(y, sub(x, x)); }

void rms_norm(const float* x, const float* weight, float eps, std::int64_t columns, Store mode,
              float* out) {
  Vf squares = zero();
  std::int64_t i = 0;
  for (; i + 16 <= columns; i += 16) {
    const Vf v = load(x + i);
    squares = fma(v, v, squares);
  }
  if (i < columns) {
    const Vf v = load_part(x + i, columns - i);
    squares = fma(v, v, squares);
  }
  const float mean = sum(squares) / static_cast<float>(columns);
  const Vf scale = set1(1.f / std::sqrt(mean + eps));
  for (i = 0; i + 16 <= columns; i += 16) {
    Vf y = mul(mul(load(x + i), scale), load(weight + i));
    if (mode == Store::kAdd) y = add(load(out + i), y);
    store(out + i, y);
  }
  if (i < columns) {
    const std::int64_t rest = columns - i;
    Vf y = mul(mul(load_part(x + i, rest), scale), load_part(weight + i, rest));
    if (mode == Store::kAdd) y = add(load_part(out + i, rest), y);
    store_part(out + i, rest, y);
  }
}

template <GateKind Kind>
HEARTH_INLINE Vf activate(Vf x) {
  if constexpr (Kind == GateKind::kSilu) return with_nan_of(mul(x, sigmoid(x)), x);
  // gelu, tanh form: x/2 (1 + tanh u) = x sigmoid(2u), u = sqrt(2/pi) (x + 0.044715 x^3)
  const Vf u = mul(set1(0.7978845608028654f), fma(mul(mul(x, x), x), set1(0.044715f), x));
  return with_nan_of(mul(x, sigmoid(add(u, u))), x);
}

template <GateKind Kind>
void gate_kind(const float* gates, const float* up, std::int64_t columns, float* out) {
  std::int64_t i = 0;
  for (; i + 16 <= columns; i += 16)
    store(out + i, mul(activate<Kind>(load(gates + i)), load(up + i)));
  if (i < columns) {
    const std::int64_t rest = columns - i;
    store_part(out + i, rest,
               mul(activate<Kind>(load_part(gates + i, rest)), load_part(up + i, rest)));
  }
}
void gate(GateKind kind, const float* gates, const float* up, std::int64_t columns, float* out) {
  if (kind == GateKind::kSilu) return gate_kind<GateKind::kSilu>(gates, up, columns, out);
  gate_kind<GateKind::kGeluTanh>(gates, up, columns, out);
}

template <GateKind Kind>
void gate_quantize_kind(const float* x, std::int64_t rows, const QuantizedRows& out, std::int64_t m,
                        std::int64_t group) {
  const std::int64_t groups = out.columns / kGroup;
  for (std::int64_t r = 0; r < rows; r += kQuantizeGroups) {
    alignas(64) float y[kQuantizeGroups * kGroup];
    const auto count = static_cast<int>(std::min<std::int64_t>(kQuantizeGroups, rows - r));
    for (int i = 0; i < count; ++i, x += 2 * kGroup) {
      store(y + i * kGroup, mul(activate<Kind>(load(x)), load(x + 32)));
      store(y + i * kGroup + 16, mul(activate<Kind>(load(x + 16)), load(x + 48)));
    }
    quantize_groups(y, count, out, (m + r) * groups + group, groups);
  }
}
void gate_quantize(GateKind kind, const float* x, std::int64_t rows, const QuantizedRows& out,
                   std::int64_t m, std::int64_t group) {
  if (kind == GateKind::kSilu) return gate_quantize_kind<GateKind::kSilu>(x, rows, out, m, group);
  gate_quantize_kind<GateKind::kGeluTanh>(x, rows, out, m, group);
}

void rope(float* x, const float* cosines, const float* sines, std::int64_t dims, float scale) {
  const std::int64_t half = dims / 2;
  const Vf s = set1(scale);
  const auto rotate = [&](auto load_v, auto store_v, std::int64_t i) {
    const Vf a = load_v(x + i);
    const Vf b = load_v(x + half + i);
    const Vf c = load_v(cosines + i);
    const Vf d = load_v(sines + i);
    const Vf first = sub(mul(a, c), mul(b, d));
    const Vf second = fma(b, c, mul(a, d));
    store_v(x + i, mul(first, s));
    store_v(x + half + i, mul(second, s));
  };
  std::int64_t i = 0;
  for (; i + 16 <= half; i += 16)
    rotate([](const float* p) { return load(p); }, [](float* p, Vf v) { store(p, v); }, i);
  if (i < half) {
    const std::int64_t rest = half - i;
    rotate([rest](const float* p) { return load_part(p, rest); },
           [rest](float* p, Vf v) { store_part(p, rest, v); }, i);
  }
}

std::int64_t argmax(const float* x, std::int64_t n) {
  // The largest value first (exact, whatever the order), then where it stands.
  constexpr float kLowest = -std::numeric_limits<float>::infinity();
  Vf best = set1(kLowest);
  bool nan = false;
  std::int64_t i = 0;
  for (; i + 64 <= n; i += 64) {
    const Vf a = load(x + i), b = load(x + i + 16), c = load(x + i + 32), d = load(x + i + 48);
    best = max(max(max(a, b), max(c, d)), best);
    // A NaN or an infinity anywhere makes this sum NaN; looked at closely only then.
    if (any_nan(sub(add(add(a, b), add(c, d)), add(add(a, b), add(c, d)))))
      nan = nan || any_nan(a) || any_nan(b) || any_nan(c) || any_nan(d);
  }
  float largest = max_lane(best);
  for (; i < n; ++i) {
    nan = nan || std::isnan(x[i]);
    if (x[i] > largest) largest = x[i];
  }
  if (nan || !(largest > kLowest)) return -1;
  for (i = 0; x[i] != largest; ++i) {
  }
  return i;
}

float logsumexp(const float* x, std::int64_t n) {
  float largest = -std::numeric_limits<float>::infinity();
  std::int64_t i = 0;
  if (n >= 16) {
    Vf best = load(x);
    for (i = 16; i + 16 <= n; i += 16) best = max(best, load(x + i));
    largest = max_lane(best);
  }
  for (; i < n; ++i)
    if (x[i] > largest) largest = x[i];
  // A vocabulary of small probabilities: sums of 16 lanes go on in double.
  double total = 0;
  const Vf shift = set1(largest);
  for (i = 0; i + 16 <= n; i += 16) {
    // -infinity must not become NaN in with_nan_of; max gives its second operand if one is NaN.
    const Vf d = max(set1(-1000.f), sub(load(x + i), shift));
    total += static_cast<double>(sum(with_nan_of(exp(d), d)));
  }
  for (; i < n; ++i) total += std::exp(static_cast<double>(x[i] - largest));
  return static_cast<float>(static_cast<double>(largest) + std::log(total));
}

void exponentials(const float* x, std::int64_t n, float largest, float scale, float* out) {
  // What exp() clamps its argument to gives 0.
  const Vf least = exp(set1(-87.f));
  const auto of = [&](Vf v) {
    return sub(exp(mul(sub(v, set1(largest)), set1(scale))), least);
  };
  std::int64_t i = 0;
  for (; i + 16 <= n; i += 16) store(out + i, of(load(x + i)));
  if (i < n) store_part(out + i, n - i, of(load_part(x + i, n - i)));
}
