// What one token costs at least, by the model's own numbers.
#pragma once

#include "backend/machine.h"
#include "model/model.h"

namespace hearth::model {

// 2 per multiply-add, of weights in whole numbers and of those in halves or floats.
struct Operations {
  double quantized = 0;
  double floating = 0;

  double all() const { return quantized + floating; }
  // How long they take at the machine's peaks.
  double seconds(const backend::MachinePeaks& peaks) const {
    return quantized / peaks.int8_tops / 1e12 + floating / peaks.float_tops / 1e12;
  }
  Operations times(double n) const { return {quantized * n, floating * n}; }
  Operations plus(const Operations& o) const {
    return {quantized + o.quantized, floating + o.floating};
  }
};

struct TokenCost {
  Operations layers;      // of a token in all layers
  Operations head;        // of a token whose logits are wanted
  double attention = 0;   // operations of a token, for each one before it without a window
  double bytes_read = 0;  // by a pass with few rows, as stored in the file
};

TokenCost token_cost(const Model& model);

}  // namespace hearth::model
