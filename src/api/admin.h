// Routes for administrators: which models are in memory.
//   GET    /admin/models        all of them, with what they hold and do
//   POST   /admin/models        {"model": "name in the store", "id"?, "ctx"?, "kv_type"?}; answered
//                               once it can be used
//   DELETE /admin/models/{id}   takes no new requests; open ones are finished
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "api/model_set.h"
#include "api/request_limits.h"
#include "api/route_table.h"
#include "base/result.h"
#include "base/task_pool.h"

namespace hearth::api {

struct LoadRequest {
  std::string model;         // "name" or "name@version" in the store; never a path
  std::string id;            // empty: as the model is called
  std::int64_t context = 0;  // 0: the model's own
  std::string kv_type = "auto";
};

// Blocks until the model can be used. Errors: "model_not_found", "invalid_name", "out_of_memory"
// (said in words), "no_threads", and whatever may be wrong with its files.
using ModelLoader = std::function<Result<ServedModel>(const LoadRequest& request)>;

class Admin {
 public:
  // `load` null: models cannot be loaded here, only listed and unloaded.
  Admin(ModelSet& models, ModelLoader load, const RequestLimits& limits);
  ~Admin();

  void add_routes(RouteTable& routes);

 private:
  void list(const Call& call);
  void load(const Call& call);
  void unload(const Call& call);

  ModelSet& models_;
  const ModelLoader load_;
  const RequestLimits limits_;
  TaskPool pool_;  // one model at a time: each wants all the memory that is left
};

}  // namespace hearth::api
