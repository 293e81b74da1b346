// The models that are served just now. They come and go while requests run: whoever found one keeps
// it for as long as needed. Thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "api/served_model.h"

namespace hearth::api {

class ModelSet {
 public:
  using Entry = std::shared_ptr<const ServedModel>;

  // `on_removed` is called with the id, outside all locks.
  explicit ModelSet(std::function<void(const std::string& id)> on_removed)
      : on_removed_(std::move(on_removed)) {}

  // Empty or "default": the first one. Null: there is none of that name.
  Entry find(const std::string& name) const;
  std::vector<Entry> list() const;  // the default, then in the order in which they came

  // False: the name is taken.
  bool add(ServedModel model);
  void make_default(const std::string& id);  // of no effect without such a model
  // Null: there is none of that id. Its memory is free once its last request has ended.
  Entry remove(const std::string& id);

 private:
  const std::function<void(const std::string& id)> on_removed_;
  mutable std::mutex mutex_;
  std::vector<Entry> models_;
};

}  // namespace hearth::api
