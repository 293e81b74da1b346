// Where a model's arithmetic runs. A model family records operations on a Step; the backend decides
// how, on which device and in which precision they are carried out. Families never see bytes or
// devices.
//
// Operations are recorded first and run together: what is recorded depends on the batch's shape
// alone, so a step may be replayed as a graph where a device wants that.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "formats/weights.h"

namespace hearth::backend {

enum class Precision : std::uint8_t {
  kDefault,  // weights as stored (repacked), activations of quantised layers in 8 bits
  kF32,      // everything in float32: exact, and 4 bytes a weight
};
// kAuto: kBF16 where the processor multiplies bfloat16, else kF16.
enum class KvCacheType : std::uint8_t { kAuto, kF16, kBF16, kInt8 };
enum class Activation : std::uint8_t { kSilu, kGeluTanh };

// A matrix (or several, stacked by rows) on the device. Immutable once prepared.
class Weight {
 public:
  virtual ~Weight() = default;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
};
using WeightRef = std::shared_ptr<const Weight>;

// Rows of a stored matrix that go into a Weight, in file order.
struct WeightPart {
  const TensorView* matrix = nullptr;  // (rows, columns)
  const TensorView* bias = nullptr;    // (rows) or null
  // > 0: rows come in heads of this many, each ordered for rotary pairs (2i, 2i+1); they are put in
  // the order for halves (i, i + head_dim/2) that the kernels use.
  std::int64_t unpair_head_dim = 0;
};

// A float32 vector (norm weights) on the device.
class Vector {
 public:
  virtual ~Vector() = default;
  std::int64_t size = 0;
};
using VectorRef = std::shared_ptr<const Vector>;

// Layers that share a kind of cache: a page holds Backend::page_tokens() tokens of all of them.
struct KvGroupSpec {
  std::int64_t layers = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t window = 0;  // 0: full attention; else pages wholly outside the window may be freed
};

// The memory of all pages of all groups. Reserved at once, touched page by page.
class KvCache {
 public:
  virtual ~KvCache() = default;
  virtual std::int64_t page_tokens() const = 0;
  virtual std::int64_t pages(std::size_t group) const = 0;
  virtual std::int64_t page_bytes(std::size_t group) const = 0;
  virtual void zero_page(std::size_t group, std::int32_t page) = 0;
  virtual void copy_page(std::size_t group, std::int32_t from, std::int32_t to) = 0;
};

// One sequence's rows in a batch: tokens at consecutive positions.
struct BatchSequence {
  std::int64_t first_row = 0;
  std::int64_t rows = 0;
  std::int64_t position = 0;  // of the first row
  std::vector<std::span<const std::int32_t>>
      page_tables;  // per group: page of position / page_tokens;
                    // -1 where the window has left it
};
struct Batch {
  std::vector<std::int32_t> tokens;      // (rows)
  std::vector<BatchSequence> sequences;  // cover all rows, in order
  std::vector<std::int32_t> logit_rows;  // rows whose next token is wanted, ascending
  KvCache* cache = nullptr;
};

struct RopeTable {
  std::vector<float> inverse_frequencies;  // (dims / 2)
};

struct AttentionSpec {
  std::size_t kv_group = 0;
  std::int64_t layer_in_group = 0;
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t window = 0;
  float scale = 1.f;  // q.k is multiplied with it
  float softcap = 0.f;
  std::size_t rope = 0;            // index of a table given to Backend::begin
  const Vector* q_norm = nullptr;  // RMS norm per head before the rotation, or null
  const Vector* k_norm = nullptr;
  float norm_eps = 0.f;
};

// A device buffer of (rows of the step, columns) float32, valid while the step is recorded and run.
struct Tensor {
  int id = -1;
  std::int64_t columns = 0;
};

class Step {
 public:
  virtual ~Step() = default;

  // A buffer with one row per row of the batch.
  virtual Tensor tensor(std::int64_t columns) = 0;

  // out[row] = embedding[token of the row] * scale
  virtual void embed(Tensor out, const Weight& embedding, float scale) = 0;
  // out = norm(x) * weight, or out += that. Whoever reads out is recorded before x is written
  // again.
  virtual void rms_norm(Tensor out, Tensor x, const Vector& weight, float eps,
                        bool add = false) = 0;
  // out = x W^T + bias, or out += that
  virtual void linear(Tensor out, Tensor x, const Weight& weight, bool add = false) = 0;
  // out (rows, heads * head_dim) from qkv (rows, (heads + 2 kv_heads) * head_dim): norms, rotation,
  // storing of keys and values, softmax attention. qkv is used up.
  virtual void attention(Tensor out, Tensor qkv, const AttentionSpec& spec) = 0;
  // out (rows, n) = act(x[:, :n]) * x[:, n:]. x is used up.
  virtual void gated(Tensor out, Tensor x, Activation activation) = 0;
  // The batch's logit rows of x -> norm -> W^T: (logit_rows, vocabulary), read by
  // Backend::logits().
  virtual void head(Tensor x, const Vector& norm, float eps, const Weight& weight,
                    float softcap) = 0;
};

// What one kind of operation took over some steps.
struct OpProfile {
  std::string name;
  std::int64_t runs = 0;
  double wall_s = 0;
  double busy_s = 0;  // of all threads together; threads * wall if none ever waited
  double operations = 0;
  double bytes = 0;  // of weights, or of keys and values
};

class Backend {
 public:
  virtual ~Backend() = default;

  // The loader has checked the shapes: equal columns, biases of their matrix's rows.
  virtual Result<WeightRef> prepare(std::span<const WeightPart> parts) = 0;
  // For embed(); if `head` too, the same matrix can be given to Step::head.
  virtual Result<WeightRef> prepare_embedding(const TensorView& matrix, bool head) = 0;
  // `plus_one`: stored as w - 1.
  virtual Result<VectorRef> prepare_vector(const TensorView& vector, bool plus_one) = 0;
  virtual void set_rope_tables(std::vector<RopeTable> tables) = 0;

  // For another model, computed by the same threads: the two never at once, and enter_thread() of
  // this one holds for both.
  virtual std::unique_ptr<Backend> beside() const = 0;

  virtual Result<std::unique_ptr<KvCache>> make_cache(std::span<const KvGroupSpec> groups,
                                                      std::span<const std::int64_t> pages) = 0;
  virtual std::int64_t page_tokens() const = 0;
  // Bytes of one page of such a group.
  virtual std::int64_t page_bytes(const KvGroupSpec& group) const = 0;

  // The calling thread is the one that run() and parallel_for() will be called from, for good.
  virtual void enter_thread() = 0;
  // Records the family's step and runs it; results stay until the next call.
  virtual void run(const Batch& batch, const std::function<void(Step&)>& record) = 0;
  virtual std::span<const float> logits(std::size_t logit_row) const = 0;
  // What the logits are made of: (embedding width), after the final norm.
  virtual std::span<const float> hidden(std::size_t logit_row) const = 0;

  // Measures what run() does from now on, which slows it a little; take_profile() starts anew.
  virtual void set_profiling(bool on) = 0;
  virtual std::vector<OpProfile> take_profile() = 0;  // the longest first

  // Work on the backend's threads between steps (sampling): fn(index) for index < n.
  virtual void parallel_for(std::int64_t n, const std::function<void(std::int64_t)>& fn) = 0;
  // The first index of the largest logit; -1 when a logit is NaN or none is finite.
  virtual std::int64_t argmax(std::span<const float> logits) const = 0;
  virtual float logsumexp(std::span<const float> logits) const = 0;
  // out[i] = e^((logits[i] - largest) * scale), 0 where that is below 1e-38; none above `largest`.
  virtual void exponentials(std::span<const float> logits, float largest, float scale,
                            std::span<float> out) const = 0;

  virtual std::int64_t weight_bytes() const = 0;  // repacked, on the device
  virtual std::string describe() const = 0;       // "cpu avx512, 2 threads"
  virtual int threads() const = 0;
};

struct CpuOptions {
  int threads = 0;  // 0: usable_cores()
  Precision precision = Precision::kDefault;
  KvCacheType kv_type = KvCacheType::kAuto;
};
Result<std::unique_ptr<Backend>> make_cpu_backend(const CpuOptions& options);

}  // namespace hearth::backend
