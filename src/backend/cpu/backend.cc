#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "backend/backend.h"
#include "backend/cpu/cache.h"
#include "backend/cpu/memory.h"
#include "backend/cpu/step.h"
#include "backend/cpu/weight.h"
#include "base/cpu.h"
#include "base/thread_pool.h"
#include "base/topology.h"
#include "kernels/ops.h"

namespace hearth::backend {
namespace {

kernels::KvType kv_type_of(KvCacheType wanted, bool exact, const kernels::Ops& ops) {
  if (exact) return kernels::KvType::kF32;
  switch (wanted) {
    case KvCacheType::kAuto:
      return ops.pairs ? kernels::KvType::kBF16 : kernels::KvType::kF16;
    case KvCacheType::kF16:
      return kernels::KvType::kF16;
    case KvCacheType::kBF16:
      return kernels::KvType::kBF16;
    case KvCacheType::kInt8:
      return kernels::KvType::kI8;
  }
  HEARTH_CHECK(false);
}

class CpuBackend final : public Backend {
 public:
  CpuBackend(const CpuOptions& options, const kernels::Ops& ops)
      : ops_(ops),
        exact_(options.precision == Precision::kF32),
        kv_type_(kv_type_of(options.kv_type, exact_, ops_)),
        pool_(std::make_shared<ThreadPool>(options.threads > 0 ? options.threads
                                                               : usable_cores(topology_))) {
    init_memory();
  }
  CpuBackend(const CpuBackend& other, std::shared_ptr<ThreadPool> pool)
      : ops_(other.ops_), exact_(other.exact_), kv_type_(other.kv_type_), pool_(std::move(pool)) {
    init_memory();
  }

  std::unique_ptr<Backend> beside() const override {
    return std::make_unique<CpuBackend>(*this, pool_);
  }
  void init_memory() {
    memory_.thread_scratch.resize(static_cast<std::size_t>(pool_->threads()));
    memory_.own_rows = std::vector<OwnRow>(static_cast<std::size_t>(pool_->threads()));
  }

  Result<WeightRef> prepare(std::span<const WeightPart> parts) override {
    HEARTH_TRY(auto weight, pack_weight(parts, packing(), arena_, *pool_));
    return weight;
  }

  Result<WeightRef> prepare_embedding(const TensorView& matrix, bool head) override {
    std::shared_ptr<CpuWeight> weight;
    if (head) {
      const WeightPart part = {&matrix, nullptr, 0};
      HEARTH_TRY(weight, pack_weight({&part, 1}, packing(), arena_, *pool_));
    } else {
      weight = std::make_shared<CpuWeight>();
      weight->rows = matrix.shape[0];
      weight->columns = matrix.shape[1];
    }
    weight->stored = matrix;
    return weight;
  }

  Result<VectorRef> prepare_vector(const TensorView& vector, bool plus_one) override {
    auto out = std::make_shared<CpuVector>();
    out->size = vector.elems();
    out->values.resize(static_cast<std::size_t>(out->size));
    dequantize(vector.dtype, vector.data.data(), out->values.data(), out->size);
    if (plus_one)
      for (float& x : out->values) x += 1.f;
    return out;
  }

  void set_rope_tables(std::vector<RopeTable> tables) override {
    ropes_ = std::move(tables);
    memory_.cosines.resize(ropes_.size());
    memory_.sines.resize(ropes_.size());
  }

  Result<std::unique_ptr<KvCache>> make_cache(std::span<const KvGroupSpec> groups,
                                              std::span<const std::int64_t> pages) override {
    HEARTH_TRY(auto cache, CpuKvCache::make(groups, pages, kv_type_));
    return std::unique_ptr<KvCache>(std::move(cache));
  }
  std::int64_t page_tokens() const override { return kernels::kPageTokens; }
  std::int64_t page_bytes(const KvGroupSpec& group) const override {
    return group.layers * kernels::KvLayout{kv_type_, group.kv_heads, group.head_dim}.layer_bytes();
  }

  // Not while weights are packed: the loading thread is bound nowhere and must find a free core.
  void enter_thread() override {
    run_in_short_slices();
    bind(0);
    pool_->on_each_worker([this](int thread) { bind(thread); });
  }
  void run(const Batch& batch, const std::function<void(Step&)>& record) override {
    CpuStep step(ops_, batch, memory_, ropes_, pool_->threads());
    record(step);
    vocabulary_ = 0;
    if (profiling_) {
      const auto times = pool_->run_timed(step.take());
      for (std::size_t s = 0; s < times.size(); ++s) add_to_profile(step.costs()[s], times[s]);
    } else {
      pool_->run(step.take());
    }
    vocabulary_ = step.vocabulary();
  }
  std::span<const float> logits(std::size_t row) const override {
    return {memory_.logits.data() +
                static_cast<std::int64_t>(row) * CpuStep::logits_stride(vocabulary_),
            static_cast<std::size_t>(vocabulary_)};
  }
  std::span<const float> hidden(std::size_t row) const override {
    const CpuBuffer& normed = memory_.head_input;
    return {normed.values.data() + static_cast<std::int64_t>(row) * normed.columns,
            static_cast<std::size_t>(normed.columns)};
  }

  void set_profiling(bool on) override { profiling_ = on; }
  std::vector<OpProfile> take_profile() override {
    std::sort(profile_.begin(), profile_.end(),
              [](const OpProfile& a, const OpProfile& b) { return a.wall_s > b.wall_s; });
    return std::exchange(profile_, {});
  }

  void parallel_for(std::int64_t n, const std::function<void(std::int64_t)>& fn) override {
    pool_->parallel_for(n, [&fn](std::int64_t i, int) { fn(i); });
  }
  std::int64_t argmax(std::span<const float> logits) const override {
    return ops_.argmax(logits.data(), static_cast<std::int64_t>(logits.size()));
  }
  float logsumexp(std::span<const float> logits) const override {
    return ops_.logsumexp(logits.data(), static_cast<std::int64_t>(logits.size()));
  }
  void exponentials(std::span<const float> logits, float largest, float scale,
                    std::span<float> out) const override {
    HEARTH_CHECK(out.size() == logits.size());
    ops_.exponentials(logits.data(), static_cast<std::int64_t>(logits.size()), largest, scale,
                      out.data());
  }

  std::int64_t weight_bytes() const override { return arena_.used(); }
  std::string describe() const override {
    return fmt::format("cpu {}, {} threads{}", isa_name(ops_.isa), pool_->threads(),
                       exact_ ? ", float32" : "");
  }
  int threads() const override { return pool_->threads(); }

 private:
  Packing packing() const {
    return exact_ ? Packing::kExact : ops_.pairs ? Packing::kPairs : Packing::kAsStored;
  }
  // A thread on each core that we may use stays there. With fewer, others have cores to avoid, and
  // another server on this machine would choose the same ones: the system does better then.
  void bind(int thread) const {
    if (pool_->threads() == topology_.cores()) (void)topology_.bind_thread(thread);
  }
  void add_to_profile(const OpCost& cost, const ThreadPool::StepTime& time) {
    std::string name = cost.name;
    if (cost.rows > 0) name += fmt::format(" {}x{}", cost.rows, cost.columns);
    auto entry = std::find_if(profile_.begin(), profile_.end(),
                              [&](const OpProfile& p) { return p.name == name; });
    if (entry == profile_.end()) {
      entry = profile_.insert(entry, OpProfile());
      entry->name = std::move(name);
    }
    ++entry->runs;
    entry->wall_s += static_cast<double>(time.wall_ns) * 1e-9;
    entry->busy_s += static_cast<double>(time.busy_ns) * 1e-9;
    entry->operations += cost.operations;
    entry->bytes += cost.bytes;
  }

  const kernels::Ops& ops_;
  const bool exact_;
  const kernels::KvType kv_type_;
  const Topology topology_;
  Arena arena_{topology_};
  CpuStepMemory memory_;
  std::vector<RopeTable> ropes_;
  std::int64_t vocabulary_ = 0;
  bool profiling_ = false;
  std::vector<OpProfile> profile_;
  const std::shared_ptr<ThreadPool> pool_;
};

}  // namespace

Result<std::unique_ptr<Backend>> make_cpu_backend(const CpuOptions& options) {
  HEARTH_TRY(const kernels::Ops* const ops, kernels::choose_ops());
  return std::make_unique<CpuBackend>(options, *ops);
}

}  // namespace hearth::backend
