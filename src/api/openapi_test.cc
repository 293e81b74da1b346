// /openapi.json against the table and against what the parsers enforce.
#include "api/openapi.h"

#include <cmath>
#include <limits>
#include <set>

#include "api/answer_schema.h"
#include "api/app_fixture.h"
#include "api/schema.h"

namespace hearth::api {
namespace {

// --- a validator of the part of JSON Schema that the document uses

constexpr std::size_t kNoLimit = std::numeric_limits<std::size_t>::max();

bool valid(const Json& schema, const Json& value);

bool is_integer(const Json& value) {
  return value.is_number_integer() ||
         (value.is_number_float() && std::trunc(value.get<double>()) == value.get<double>());
}

// A double cannot tell 2^64 from 2^64 - 1.
long double exact(const Json& number) {
  if (number.is_number_unsigned()) return static_cast<long double>(number.get<std::uint64_t>());
  if (number.is_number_integer()) return static_cast<long double>(number.get<std::int64_t>());
  return static_cast<long double>(number.get<double>());
}
static_assert(std::numeric_limits<long double>::digits >= 64);

bool has_type(const Json& type, const Json& value) {
  if (type.is_array()) {
    return std::any_of(type.begin(), type.end(),
                       [&](const Json& one) { return has_type(one, value); });
  }
  if (type == "integer") return is_integer(value);
  if (type == "number") return value.is_number();
  return type == value.type_name();  // "object", "array", "string", "boolean", "null"
}

bool valid_text(const Json& schema, const std::string& text) {
  const auto length = static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
  if (length < schema.value("minLength", std::size_t{0}) ||
      length > schema.value("maxLength", kNoLimit)) {
    return false;
  }
  const std::string pattern = schema.value("pattern", "");
  if (pattern.empty()) return true;
  // The patterns of the document, by hand: a new one has to be put here.
  if (pattern == R"(^[^\u0000]*$)") return text.find('\0') == std::string::npos;
  EXPECT_EQ(pattern, "^(0|[1-9][0-9]{0,8})$");
  const bool digits =
      std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  return digits && !text.empty() && text.size() <= 9 && (text == "0" || text.front() != '0');
}

bool valid_object(const Json& schema, const Json& value) {
  for (const Json& name : schema.value("required", Json::array())) {
    if (!value.contains(name.get<std::string>())) return false;
  }
  if (value.size() > schema.value("maxProperties", kNoLimit)) return false;
  for (const auto& [name, member] : value.items()) {
    if (schema.contains("propertyNames") && !valid_text(schema["propertyNames"], name))
      return false;
    if (schema.contains("properties") && schema["properties"].contains(name)) {
      if (!valid(schema["properties"][name], member)) return false;
    } else if (schema.contains("additionalProperties")) {
      const Json& other = schema["additionalProperties"];
      if (other.is_boolean() ? !other.get<bool>() : !valid(other, member)) return false;
    }
  }
  return true;
}

bool valid(const Json& schema, const Json& value) {
  const auto any = [&](const Json& list, const auto& test) {
    return std::any_of(list.begin(), list.end(), test);
  };
  if (schema.contains("anyOf") &&
      !any(schema["anyOf"], [&](const Json& one) { return valid(one, value); })) {
    return false;
  }
  if (schema.contains("enum") &&
      !any(schema["enum"], [&](const Json& one) { return one == value; })) {
    return false;
  }
  if (schema.contains("type") && !has_type(schema["type"], value)) return false;
  if (value.is_number()) {
    if (schema.contains("minimum") && exact(value) < exact(schema["minimum"])) return false;
    if (schema.contains("maximum") && exact(value) > exact(schema["maximum"])) return false;
  }
  if (value.is_string()) return valid_text(schema, value.get<std::string>());
  if (value.is_object()) return valid_object(schema, value);
  if (!value.is_array()) return true;
  if (value.size() < schema.value("minItems", std::size_t{0})) return false;
  if (value.size() > schema.value("maxItems", kNoLimit)) return false;
  return !schema.contains("items") ||
         std::all_of(value.begin(), value.end(),
                     [&](const Json& item) { return valid(schema["items"], item); });
}

// --- values worth trying

void add_bounds(const Json& schema, std::vector<Json>& values) {
  if (schema.is_array()) {
    for (const Json& part : schema) add_bounds(part, values);
  }
  if (!schema.is_object()) return;
  for (const auto& [name, part] : schema.items()) {
    if (name == "minimum" || name == "maximum") {
      values.push_back(part);
      values.push_back(part.get<double>() + 1);
      values.push_back(part.get<double>() - 1);
      values.push_back(std::nextafter(part.get<double>(), 1e300));
      values.push_back(std::nextafter(part.get<double>(), -1e300));
      if (part.is_number_integer() && std::abs(part.get<double>()) < 1e15) {
        values.push_back(part.get<std::int64_t>() + 1);
        values.push_back(part.get<std::int64_t>() - 1);
      }
    } else if (name == "maxLength" || name == "maxItems") {
      const auto most = part.get<std::size_t>();
      for (const std::size_t size : {most, most + 1}) {
        std::string wide;
        for (std::size_t i = 0; i < size; ++i) wide += "é";
        values.push_back(std::string(size, 'x'));
        values.push_back(wide);
        values.push_back(Json(size, "x"));
        values.push_back(Json::array({std::string(size, 'x')}));
      }
    } else if (name == "maxProperties") {
      Json object = Json::object();
      while (object.size() < part.get<std::size_t>()) object[std::to_string(object.size())] = 1;
      values.push_back(object);
      object["999999"] = 1;
      values.push_back(object);
    } else if (name == "enum") {
      for (const Json& one : part) values.push_back(one);
    }
    add_bounds(part, values);
  }
}

std::vector<Json> values_for(const Json& schema) {
  std::vector<Json> values;
  for (const char* text :
       {"null",
        "true",
        "false",
        "0",
        "1",
        "-1",
        "1.5",
        "8.0",
        "1e300",
        "-1e300",
        R"("")",
        R"("x")",
        R"("text")",
        R"("\u0000")",
        R"("1")",
        "[]",
        "[1]",
        "[1.0]",
        "[1,2]",
        "[-1]",
        "[1.5]",
        "[2147483648]",
        R"(["x"])",
        R"(["x","y"])",
        R"(["text"])",
        "[[]]",
        "[[1]]",
        "[[1],[2]]",
        R"([1,"x"])",
        "[null]",
        "[[[1]]]",
        "{}",
        R"({"a":"b"})",
        R"({"a":1})",
        R"({"1":1})",
        R"({"01":1})",
        R"({"999999999":-100})",
        R"({"1000000000":1})",
        R"({"-1":1})",
        R"({"1":101})",
        R"({"1":null})",
        R"({"type":"text"})",
        R"({"type":"text","a":1})",
        R"({"include_usage":true})",
        R"({"include_usage":null,"include_obfuscation":false})",
        R"({"include_usage":1})",
        R"([{"role":"user","content":"x"}])",
        R"([{"role":"user","content":null}])",
        R"([{"role":"assistant"}])",
        R"([{"role":"assistant","content":null,"tool_calls":[],"refusal":null}])",
        R"([{"role":"system"}])",
        R"([{"role":"tool","content":"x"}])",
        R"([{"content":"x"}])",
        R"([{"role":null,"content":"x"}])",
        R"([{"role":"user","content":[]}])",
        R"([{"role":"user","content":[{"type":"text","text":"x"}],"name":"n"}])",
        R"([{"role":"user","content":[{"type":"text"}]}])",
        R"([{"role":"user","content":[{"type":"text","text":"x","a":1}]}])",
        R"([{"role":"user","content":[{"type":"image_url"}]}])",
        R"([{"role":"user","content":"x","extra":1}])",
        R"([{"role":"user","content":"x","tool_calls":[{}]}])",
        R"([{"role":"developer","content":"x"},1])"}) {
    values.push_back(Json::parse(text));
  }
  add_bounds(schema, values);
  return values;
}

// What goes with a value so that only the field itself can be wrong.
void add_company(Json& request, const std::string& field) {
  if (field == "best_of") request["n"] = request[field];
  if (field == "top_logprobs") request["logprobs"] = true;
  if (field == "stream_options") request["stream"] = true;
}

bool is_volume(const ApiError& error) {  // n * max_tokens * (1 + logprobs)
  return error.param == "n" && error.error.message.find("n * max_tokens") != std::string::npos;
}

template <class T>
bool accepts(Parsed<T> (*parse)(const Document&), const Json& request) {
  net::HttpRequest http;
  http.body = request.dump();
  const auto document = read_document(http, false);
  if (!document) return false;
  const auto call = parse(*document);
  return call || is_volume(call.error());
}

template <class T>
void expect_agreement(Parsed<T> (*parse)(const Document&), const OrderedJson& described,
                      const char* least) {
  const Json schema = Json::parse(described.dump());
  const Json base = Json::parse(least);
  ASSERT_TRUE(valid(schema, base));
  ASSERT_TRUE(accepts(parse, base));
  std::size_t accepted = 0;
  std::size_t refused = 0;
  for (const auto& [field, of_field] : schema["properties"].items()) {
    for (const Json& value : values_for(of_field)) {
      Json request = base;
      request[field] = value;
      add_company(request, field);
      const bool expected = valid(schema, request);
      EXPECT_EQ(accepts(parse, request), expected) << request.dump().substr(0, 300);
      ++(expected ? accepted : refused);
    }
    Json without = base;
    without.erase(field);
    EXPECT_EQ(accepts(parse, without), valid(schema, without)) << field;
  }
  Json more = base;
  more["no_such_field"] = nullptr;
  EXPECT_FALSE(accepts(parse, more));
  EXPECT_FALSE(valid(schema, more));
  EXPECT_GT(accepted, schema["properties"].size());
  EXPECT_GT(refused, 10 * schema["properties"].size());
}

TEST(OpenApi, SchemasAcceptWhatTheParsersAccept) {
  const char* messages = R"({"messages":[{"role":"user","content":"x"}]})";
  expect_agreement(parse_generate, describe(parse_generate), R"({"prompt":"x"})");
  expect_agreement(parse_completion, describe(parse_completion), R"({"prompt":"x"})");
  expect_agreement(parse_chat, describe(parse_chat), messages);
  expect_agreement(parse_embedding, describe(parse_embedding), R"({"input":"x"})");
  expect_agreement(parse_detokenize, describe(parse_detokenize), R"({"tokens":[1]})");
  expect_agreement(parse_tokenize, describe(parse_tokenize), R"({"prompt":"x"})");
  expect_agreement(parse_tokenize, describe(parse_tokenize, {{"messages", nullptr}}), messages);
}

TEST(OpenApi, TellsDefaultsAndWhatIsRequired) {
  const OrderedJson generate = describe(parse_generate);
  EXPECT_EQ(generate["required"], OrderedJson::array({"prompt"}));
  EXPECT_EQ(generate["properties"]["max_tokens"]["default"], 200);
  EXPECT_EQ(generate["properties"]["temperature"]["default"], 0.0);
  EXPECT_EQ(describe(parse_chat)["properties"]["temperature"]["default"], 1.0);
  EXPECT_FALSE(describe(parse_chat)["properties"]["max_tokens"].contains("default"));
  // The mark for "none" is no value that a client could send.
  EXPECT_FALSE(describe(parse_completion)["properties"]["logprobs"].contains("default"));
}

// --- the document

void collect_refs(const Json& value, std::set<std::string>& refs) {
  if (!value.is_structured()) return;
  for (const auto& [name, member] : value.items()) {
    if (value.is_object() && name == "$ref") refs.insert(member.get<std::string>());
    collect_refs(member, refs);
  }
}

TEST(OpenApi, HasEveryRouteOfTheTableAndNoOther) {
  Service service;
  const Json document = service.get("/openapi.json");
  EXPECT_EQ(document["openapi"], "3.1.0");
  std::set<std::string> described;
  for (const auto& [path, item] : document["paths"].items()) {
    for (const auto& [method, operation] : item.items()) described.insert(method + " " + path);
  }
  std::set<std::string> served;
  std::set<std::string> ids;
  for (const Route& route : service.app().routes().routes()) {
    if (!route.doc.published) continue;
    const std::string method = net::to_lower(route.method);
    served.insert(method + " " + route.path);
    const Json& operation = document["paths"][route.path][method];
    ids.insert(operation["operationId"].get<std::string>());
    EXPECT_EQ(operation["x-hearth-permission"] == "none", route.permission == Permission::kNone);
    EXPECT_EQ(operation.contains("security"), route.permission != Permission::kNone) << route.path;
    EXPECT_EQ(operation["responses"].contains("401"), route.permission != Permission::kNone);
    EXPECT_EQ(operation.contains("requestBody"), route.method == "POST");
    if (route.method == "POST") {
      EXPECT_EQ(operation.contains("x-hearth-body-bytes-max"), route.body_bytes_max != kAsServer);
      EXPECT_EQ(operation.value("x-hearth-body-bytes-max", kAsServer), route.body_bytes_max);
    }
    for (const char* status : {"200", "400", "405", "408", "413", "431", "503"}) {
      EXPECT_TRUE(operation["responses"].contains(status)) << route.path << " " << status;
    }
  }
  EXPECT_EQ(described, served);
  EXPECT_EQ(ids.size(), served.size());
  EXPECT_EQ(document["paths"]["/generate"]["post"]["operationId"], "postGenerate");
  EXPECT_EQ(document["paths"]["/v1/chat/completions"]["post"]["operationId"],
            "postV1ChatCompletions");

  std::set<std::string> refs;
  collect_refs(document, refs);
  EXPECT_GT(refs.size(), 20u);
  for (const std::string& ref : refs) {
    EXPECT_TRUE(document.contains(Json::json_pointer(ref.substr(1)))) << ref;
  }
}

TEST(OpenApi, AQueryHasOnlyScalars) {
  Service service;
  const Json document = service.get("/openapi.json");
  std::set<std::string> names;
  for (const Json& parameter : document["paths"]["/generate"]["post"]["parameters"]) {
    EXPECT_EQ(parameter["in"], "query");
    EXPECT_TRUE(parameter["schema"]["type"].is_string()) << parameter;
    names.insert(parameter["name"].get<std::string>());
  }
  EXPECT_EQ(names.count("prompt") + names.count("stop") + names.count("ignore_eos"), 3u);
  EXPECT_EQ(names.count("logit_bias"), 0u);
  // Each is taken from a query.
  for (const char* query : {"seed=18446744073709551615", "seed=-9223372036854775807", "stop=x",
                            "top_k=-1", "stream=false", "repetition_penalty=0.01"}) {
    EXPECT_EQ(service.send(http_post("/generate?prompt=x&" + std::string(query), "")).status, 200)
        << query;
  }
  for (const char* seed : {"18446744073709551616", "-9223372036854775808", "1.5", "", "1x"}) {
    EXPECT_EQ(service.send(http_post("/generate?prompt=x&seed=" + std::string(seed), "")).status,
              400)
        << seed;
  }
}

// The answers of a simulated engine, against their schemas.
TEST(OpenApi, AnswersAreAsDescribed) {
  Service service(says("hi"));
  const auto check = [](const NamedSchema& named, const Json& answer) {
    const Json schema = Json::parse(named.schema.dump());
    EXPECT_TRUE(valid(schema, answer)) << named.name << " " << answer;
    Json more = answer;
    more["surplus"] = 1;
    EXPECT_FALSE(valid(schema, more)) << named.name;
  };
  const std::string chat = R"({"messages":[{"role":"user","content":"x"}])";
  check(health_schema(), service.get("/health"));
  check(health_schema(), service.get("/ready"));
  check(model_list_schema(), service.get("/v1/models"));
  check(model_schema(), service.get("/v1/models/default"));
  check(generate_schema(), service.post("/generate", R"({"prompt":"x"})"));
  const Json cut = service.post("/generate", R"({"prompt":"x","max_tokens":1})");
  EXPECT_EQ(cut["finish_reason"], "length");
  check(generate_schema(), cut);
  check(completion_schema(), service.post("/v1/completions", R"({"prompt":"x"})"));
  check(completion_schema(), service.post("/v1/completions", R"({"prompt":"x","logprobs":2})"));
  check(chat_schema(), service.post("/v1/chat/completions", chat + "}"));
  check(chat_schema(),
        service.post("/v1/chat/completions", chat + R"(,"logprobs":true,"top_logprobs":2,"n":2})"));
  check(embeddings_schema(), service.post("/v1/embeddings", R"({"input":["x","y"]})"));
  check(embeddings_schema(),
        service.post("/v1/embeddings", R"({"input":"x","encoding_format":"base64"})"));
  check(tokens_schema(), service.post("/tokenize", R"({"prompt":"x"})"));
  check(text_schema(), service.post("/detokenize", R"({"tokens":[90]})"));
}

TEST(OpenApiDeathTest, ARouteWithoutDocumentationIsRefused) {
  RouteTable table;
  EXPECT_DEATH(table.add("GET", "/x", Permission::kNone, 0, [](Call) {}, {}), "");
}

}  // namespace
}  // namespace hearth::api
