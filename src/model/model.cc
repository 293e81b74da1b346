#include "model/model.h"

#include <utility>

#include "base/log.h"

namespace hearth::model {

Result<std::unique_ptr<Model>> Model::load(ModelSource source,
                                           std::unique_ptr<backend::Backend> backend,
                                           ReadAhead::Choice read_ahead) {
  std::unique_ptr<Model> model(new Model());
  model->source_ = std::move(source);
  model->backend_ = std::move(backend);
  HEARTH_TRY(model->config_, model->source_.config());
  const DecoderFactory make = find_family(model->config_.family);
  if (!make)
    return fail(ErrorKind::kUnsupported, "unknown_architecture", "architecture {} is not supported",
                model->config_.family);
  // Twice: the order in which a family asks for its tensors is known once it has asked.
  Loader planner(model->source_, model->config_, *model->backend_);
  HEARTH_TRY_VOID(make(planner));
  ReadAhead ahead(*model->source_.weights, planner.take_plan(), read_ahead);
  Loader loader(model->source_, model->config_, *model->backend_, ahead);
  HEARTH_TRY_VOID(loader.set_rope_tables());
  HEARTH_TRY(model->decoder_, make(loader));
  log::debug("{}: {} MiB read past the page cache", model->source_.name,
             ahead.direct_bytes() >> 20);
  model->kv_groups_ = model->decoder_->kv_groups();
  return model;
}

void Model::run(const backend::Batch& batch) const {
  backend_->run(batch, [this](backend::Step& step) { decoder_->record(step); });
}

}  // namespace hearth::model
