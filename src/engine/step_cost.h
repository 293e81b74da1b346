// How long a pass takes by its rows, learnt from those that ran: what one row more would cost, and
// how many fit into a time.
#pragma once

#include <cstdint>
#include <vector>

namespace hearth::engine {

class StepCost {
 public:
  void add(std::int64_t rows, double seconds);

  bool known() const { return known_; }
  // Of a pass of so many rows; 0 before anything is known. Between what was measured it is linear,
  // beyond it goes on as it went so far, but at least by kSlope of a single row for each.
  double seconds(std::int64_t rows) const;

 private:
  static constexpr double kWeight = 0.1;  // of the newest, in a moving mean
  static constexpr double kSlope = 0.05;
  struct Bucket {
    double rows = 0;  // the mean of those measured
    double seconds = 0;
    std::int64_t count = 0;
  };
  static std::size_t bucket_of(std::int64_t rows);

  std::vector<Bucket> buckets_;
  bool known_ = false;
};

}  // namespace hearth::engine
