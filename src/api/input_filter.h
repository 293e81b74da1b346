// The filter on what clients send: prompts before the model sees them, where the policy says so,
// and what error messages repeat of a request.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "api/metrics.h"
#include "api/served_model.h"
#include "base/json.h"
#include "base/result.h"
#include "security/redactor.h"

namespace hearth::api {

using Redaction = std::shared_ptr<const security::RedactionPolicy>;  // null: no filter

// The policy in force. Thread-safe; each request keeps to the one it began with.
class RedactionHolder {
 public:
  Redaction get() const {
    const std::lock_guard lock(mutex_);
    return policy_;
  }
  void set(Redaction policy) {
    const std::lock_guard lock(mutex_);
    policy_ = std::move(policy);
  }

 private:
  mutable std::mutex mutex_;
  Redaction policy_;
};

class InputFilter {
 public:
  // Does nothing unless the policy filters input.
  InputFilter(Redaction policy, const ServedModel& model, std::shared_ptr<ModelMetrics> metrics)
      : policy_(std::move(policy)), model_(model), metrics_(std::move(metrics)) {}

  // `text` is masked in place. Refused ("content_filter") if something to be blocked is in it;
  // "filter_failed" if it could not be looked at.
  Status text(std::string& text) const;
  Status messages(OrderedJson& messages) const;  // their contents and names
  // Tokens cannot be masked: refused also where there would be something to mask.
  Status tokens(const std::vector<engine::TokenId>& tokens) const;

 private:
  Result<std::string> masked(const std::string& text) const;

  const Redaction policy_;
  const ServedModel& model_;
  const std::shared_ptr<ModelMetrics> metrics_;
};

// `error` without what the filter hides: messages name fields as clients wrote them.
Error without_hidden(const Redaction& policy, Error error);

}  // namespace hearth::api
