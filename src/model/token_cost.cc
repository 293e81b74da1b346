#include "model/token_cost.h"

namespace hearth::model {

TokenCost token_cost(const Model& model) {
  TokenCost cost;
  const auto& c = model.config();
  for (const TensorView& t : model.source().weights->tensors()) {
    const bool embedding = t.name == "token_embd.weight" || t.name == "model.embed_tokens.weight";
    const bool head =
        t.name == "output.weight" || t.name == "lm_head.weight" || (embedding && c.tied_embeddings);
    const auto n = 2.0 * static_cast<double>(t.elems());
    const bool quantized = info(t.dtype).block_elems > 1;
    const Operations operations = {quantized ? n : 0, quantized ? 0 : n};
    if (head) cost.head = cost.head.plus(operations);
    if (!head && !embedding && t.shape.size() == 2) cost.layers = cost.layers.plus(operations);
    // Of an untied embedding one row is read.
    if (!embedding || c.tied_embeddings) cost.bytes_read += static_cast<double>(t.data.size());
  }
  for (const bool slides : c.layer_slides)
    if (!slides) cost.attention += 4.0 * static_cast<double>(c.n_heads * c.head_dim);
  return cost;
}

}  // namespace hearth::model
