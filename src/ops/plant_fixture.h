// An engine under load as a dozen formulas: something for a tuner to control.
//
// Sequences are a fluid. A step takes a + b * running^p + c * (rows of prompts) milliseconds; one
// that runs ends after `output` tokens on average, so a lowered limit drains with that time. Its
// pages grow as it writes. What the tuner sees has passed a first-order lag and carries noise.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>

#include "ops/tuner.h"

namespace hearth::ops {

struct PlantShape {
  double a_ms = 10, b_ms = 1, power = 1, c_ms = 0.1;
  double prompt = 500, output = 200;  // tokens of a request
  double pages = 1e6;                 // tokens that fit
  double queue_max = 500;             // requests; more are refused
  double lag = 1;                     // share of a new measurement, 0 to 1
  double noise = 0;                   // of a measurement, +- this share of it
  double hiccups = 0;                 // share of periods in which something else takes the machine
  bool has_model = true;
  double decode_error = 1, row_error = 1;  // what the model of a step's cost says, over the truth

  double tpot_ms(double running, double prompt_rows) const {
    return a_ms + b_ms * std::pow(running, power) + c_ms * prompt_rows;
  }
};

class Plant {
 public:
  Plant(PlantShape shape, std::uint64_t seed) : shape_(shape), random_(seed) {}

  PlantShape& shape() { return shape_; }
  double running() const { return running_; }
  double waiting() const { return waiting_; }
  double tpot_ms() const { return tpot_ms_; }  // the period's P95 without noise and lag
  double ttft_ms() const { return ttft_ms_; }

  // One period of a second with these limits, at this many requests a second.
  TunerPeriod run(const TunerLimits& limits, double requests_s) {
    double most = running_;
    double admitted_s = 0;
    double preempted = 0;
    double rows = 0;
    double pages_most = 0;
    for (int part = 0; part < kParts; ++part) {
      admitted_s = step(limits, requests_s, 1.0 / kParts, &preempted, &rows);
      most = std::max(most, running_);
      pages_most = std::max(pages_most, held_ / shape_.pages);
    }
    // Prompts come all the time in small pieces, or now and then as much as a step may take: it is
    // the latter that a P95 shows.
    const double burst =
        std::min(static_cast<double>(limits.prompt_rows), std::max(shape_.prompt, flow_));
    const double decode_ms = shape_.tpot_ms(running_, 0);
    tpot_ms_ = decode_ms + shape_.c_ms * (admitted_s > 0 ? burst : 0);
    ttft_ms_ = 1e3 * waiting_ / std::max(admitted_s, 1e-3) +
               shape_.prompt / burst * (decode_ms + shape_.c_ms * burst);

    TunerPeriod period;
    const bool any = most > 0.01;
    period.running_most = any ? static_cast<std::int64_t>(std::ceil(most - 0.01)) : 0;
    period.waiting = static_cast<std::int64_t>(waiting_);
    period.preemptions = static_cast<std::int64_t>(std::ceil(preempted));
    period.pages_used_share = pages_most;
    period.prompt_rows_most = admitted_s > 0 ? static_cast<std::int64_t>(burst) : 0;
    if (any) {
      seen_tpot_ms_ += shape_.lag * (tpot_ms_ - seen_tpot_ms_);
      const bool hiccup = std::bernoulli_distribution(shape_.hiccups)(random_);
      period.tpot_p95_ms = (hiccup ? 4 : 1) * noisy(seen_tpot_ms_, shape_.noise);
      period.ttft_p95_ms = noisy(ttft_ms_, shape_.noise);
      period.tokens_s = noisy(rows, shape_.noise);
      // As a share of an engine that does nothing but decode a large batch.
      period.utilisation = std::min(1.0, rows * std::min(shape_.b_ms, shape_.c_ms) / 1e3);
    }
    if (any && shape_.has_model) {
      period.decode_step_ms = noisy(shape_.decode_error * decode_ms, shape_.noise / 3);
      period.row_ms = noisy(shape_.row_error * shape_.c_ms, shape_.noise / 3);
    }
    return period;
  }

 private:
  static constexpr int kParts = 2;

  // Returns the requests admitted a second; adds what was preempted and the rows computed.
  double step(const TunerLimits& limits, double requests_s, double seconds, double* preempted,
              double* rows) {
    const double limit = static_cast<double>(limits.running);
    const double chunk = static_cast<double>(limits.prompt_rows);
    waiting_ = std::min(waiting_ + requests_s * seconds, std::max(waiting_, shape_.queue_max));
    const double decode_ms = shape_.tpot_ms(running_, 0);
    const double steps = 1e3 * seconds / (decode_ms + shape_.c_ms * flow_);
    const double ended = running_ * (1 - std::exp(-steps / shape_.output));
    if (running_ > 0) held_ -= ended * held_ / running_;
    running_ -= ended;
    held_ += running_ * steps;

    const double places = std::max(0.0, limit - running_);
    const double prompts =
        chunk * 1e3 * seconds / (decode_ms + shape_.c_ms * chunk) / shape_.prompt;
    const double room = std::max(0.0, shape_.pages - held_) / shape_.prompt;
    const double admitted = std::min({waiting_, places, prompts, room});
    waiting_ -= admitted;
    running_ += admitted;
    held_ += admitted * shape_.prompt;
    if (held_ > shape_.pages) {
      const double out = std::min(running_, running_ * (1 - shape_.pages / held_));
      *preempted += out;
      running_ -= out;
      waiting_ += out;
      held_ = shape_.pages;
    }
    flow_ = std::min(chunk, admitted * shape_.prompt / steps);
    *rows += running_ * steps + admitted * shape_.prompt;
    return admitted / seconds;
  }

  double noisy(double value, double noise) {
    return value * std::uniform_real_distribution<double>(1 - noise, 1 + noise)(random_);
  }

  PlantShape shape_;
  std::mt19937_64 random_;
  double running_ = 0;
  double waiting_ = 0;
  double held_ = 0;  // tokens in pages
  double flow_ = 0;  // rows of prompts in a step, on average
  double tpot_ms_ = 0;
  double ttft_ms_ = 0;
  double seen_tpot_ms_ = 0;
};

}  // namespace hearth::ops
