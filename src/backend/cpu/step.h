// Records operations as steps of the thread pool.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu/cache.h"
#include "backend/cpu/memory.h"
#include "backend/cpu/weight.h"
#include "base/thread_pool.h"
#include "kernels/ops.h"

namespace hearth::backend {

// What later operations ask of the one that makes a buffer's values.
struct Wanted {
  bool codes = false;
  bool floats = false;  // only looked at by operations that can do without
};

struct CpuBuffer;
// A norm that has not been made yet: see CpuStep::own_codes().
struct LateNorm {
  CpuBuffer* in;
  const float* weight;
  float eps;
  bool used = false;  // somebody has made it for itself
};

// Activations of a step: float32, and 8-bit codes of the same once a quantised layer wants them.
struct CpuBuffer {
  std::int64_t columns = 0;
  Scratch<float> values;  // (rows, columns)
  Scratch<std::int8_t> codes;
  Scratch<float> scales, scaled_sums;
  Scratch<std::int32_t> minus_sums;
  kernels::QuantizedRows quantized;
  // While recording:
  bool has_codes = false;             // the codes belong to the newest values
  Wanted* wanted = nullptr;           // of the op that makes the values, if it can make codes too
  std::optional<LateNorm> late_norm;  // the values are this, once somebody wants them
  bool gone = false;                  // a late norm whose input has changed since it was used
};

// A row and its codes that a thread has made for itself.
struct alignas(64) OwnRow {
  std::int64_t serial = 0;  // of whose codes these are
  Scratch<float> normed;
  Scratch<std::int8_t> codes;
  Scratch<float> scales, scaled_sums;
  Scratch<std::int32_t> minus_sums;
};

// Buffers and scratch that live as long as the backend, so that steps allocate nothing in the long
// run.
struct CpuStepMemory {
  std::deque<CpuBuffer> buffers;
  CpuBuffer head_input;
  Scratch<float> logits;                       // (logit rows, vocabulary)
  std::vector<Scratch<float>> cosines, sines;  // per rope table: (rows, dims / 2)
  std::vector<Scratch<float>> thread_scratch;  // per thread
  Scratch<float> partials;
  std::vector<OwnRow> own_rows;  // per thread
  std::int64_t serials = 0;      // given out
};

// What a pool step is and what it cannot do without: for the profile.
struct OpCost {
  const char* name = "";
  std::int64_t rows = 0, columns = 0;  // of the weight, if there is one
  double operations = 0;               // of its multiplications, 2 a multiply-add
  double bytes = 0;                    // of weights, or of keys and values
};

class CpuStep final : public Step {
 public:
  CpuStep(const kernels::Ops& ops, const Batch& batch, CpuStepMemory& memory,
          const std::vector<RopeTable>& ropes, int threads);

  Tensor tensor(std::int64_t columns) override;
  void embed(Tensor out, const Weight& embedding, float scale) override;
  void rms_norm(Tensor out, Tensor x, const Vector& weight, float eps, bool add) override;
  void linear(Tensor out, Tensor x, const Weight& weight, bool add) override;
  void attention(Tensor out, Tensor qkv, const AttentionSpec& spec) override;
  void gated(Tensor out, Tensor x, Activation activation) override;
  void head(Tensor x, const Vector& norm, float eps, const Weight& weight, float softcap) override;

  std::vector<ThreadPool::Step> take() { return std::move(steps_); }
  const std::vector<OpCost>& costs() const { return costs_; }  // one a pool step
  std::int64_t vocabulary() const {
    return vocabulary_;
  }  // columns of the logits; 0 without head()
  // Floats from one row of logits to the next: never a multiple of 4096 bytes, as rows that far
  // apart share the few places of one cache set.
  static std::int64_t logits_stride(std::int64_t vocabulary) {
    return (vocabulary + 15) / 16 * 16 + 16;
  }

 private:
  struct Tile {  // queries of one sequence, without the KV head
    std::size_t sequence;
    std::int64_t first_token, tokens, first_head, heads;
  };

  CpuBuffer& buffer(Tensor t) { return memory_.buffers[static_cast<std::size_t>(t.id)]; }
  void size_buffer(CpuBuffer& buffer, std::int64_t rows, std::int64_t columns);
  void ensure_codes(CpuBuffer& buffer, std::int64_t rows);
  void add(const OpCost& cost, std::int64_t chunks, ThreadPool::ChunkFn fn);
  void add_rows(const OpCost& cost, std::int64_t rows,
                std::function<void(std::int64_t begin, std::int64_t end)> fn);
  // The codes of a single row, made by each thread for itself as soon as it has work that reads
  // them: a norm and a rounding of some hundred columns take less than waiting for each other.
  struct OwnCodes {
    const CpuBuffer* source;
    const float* norm;  // null: the source as it is
    float eps;
    std::int64_t serial;
  };
  OwnCodes own_codes(CpuBuffer& buffer);
  kernels::QuantizedRows make_own_codes(const OwnCodes& own, int thread) const;
  bool codes_are_own(const CpuBuffer& x, std::int64_t rows, const CpuWeight& weight) const {
    return rows == 1 && rows_ == 1 && weight.any_quantized && !weight.any_float && !x.has_codes &&
           x.wanted == nullptr;
  }
  void quantize_piece(const CpuBuffer& b, const float* values, std::int64_t row,
                      std::int64_t column, std::int64_t width) const;
  void add_norm(CpuBuffer& out, const LateNorm& norm, bool add_to);
  void make_late_norm(CpuBuffer& buffer);
  void will_write(CpuBuffer& buffer);      // before an operation that changes its values
  const float* floats(CpuBuffer& buffer);  // for an operation that reads them
  void made_by(CpuBuffer& buffer, Wanted* wanted);
  bool fuse_gate(CpuBuffer& out, CpuBuffer& in, kernels::GateKind kind);
  void multiply(const char* name, CpuBuffer& x, std::int64_t rows, const CpuWeight& weight,
                float* out, std::int64_t ld, bool add_to);
  void ensure_rope(std::size_t table);
  std::vector<Tile> tiles_of(const AttentionSpec& spec) const;
  // Whether each span of 512 tokens is to be a piece of work of its own: where a tile and KV head
  // have more to do than half a thread's share, be they few or one over a long context beside many
  // over short ones.
  bool split_over_spans(const std::vector<Tile>& tiles, const AttentionSpec& spec) const;
  void rotate_and_store(CpuBuffer& qkv, const AttentionSpec& spec, std::int64_t row,
                        std::int64_t kv_head);
  void attend(CpuBuffer& out, CpuBuffer& qkv, const AttentionSpec& spec, std::vector<Tile> tiles,
              bool split, bool store_too);

  const kernels::Ops& ops_;
  const Batch& batch_;
  CpuStepMemory& memory_;
  const std::vector<RopeTable>& ropes_;
  const int threads_;
  const std::int64_t rows_;
  std::int64_t spans_max_ = 1;  // of a sequence, new rows included
  std::size_t next_buffer_ = 0;
  std::int64_t vocabulary_ = 0;
  std::deque<Wanted> wanted_;
  // The matrix product that is the newest step, if all of it went into `linear_out_`.
  const CpuWeight* linear_weight_ = nullptr;
  CpuBuffer* linear_in_ = nullptr;
  CpuBuffer* linear_out_ = nullptr;
  std::vector<bool> rope_made_;
  std::vector<std::int32_t> positions_;     // (rows)
  std::vector<std::int32_t> row_sequence_;  // (rows): index into batch_.sequences
  // Per sequence and group: where each page starts; null where it has been freed.
  std::vector<std::vector<std::vector<const std::byte*>>> pages_;
  std::vector<ThreadPool::Step> steps_;
  std::vector<OpCost> costs_;
};

}  // namespace hearth::backend
