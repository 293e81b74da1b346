// JSON Schemas of the documents that routes answer with, for /openapi.json.
#pragma once

#include "api/route_table.h"

namespace hearth::api {

Answer json_answer(NamedSchema schema, int status = 200, std::string description = "Success.");
Answer metrics_answer();  // Prometheus' text format
Answer stream_answer();   // server-sent events, in place of the whole answer

NamedSchema health_schema();
NamedSchema model_schema();
NamedSchema model_list_schema();
NamedSchema generate_schema();
NamedSchema completion_schema();
NamedSchema chat_schema();
NamedSchema embeddings_schema();
NamedSchema tokens_schema();
NamedSchema text_schema();
NamedSchema openapi_schema();
NamedSchema loaded_model_schema();
NamedSchema loaded_model_list_schema();
NamedSchema deleted_model_schema();

}  // namespace hearth::api
