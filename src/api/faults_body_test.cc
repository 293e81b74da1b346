// Faults in what a request says: JSON, UTF-8, numbers, lengths, templates. The numbers are those of
// docs/faults.md.
#include "api/whole_server_fixture.h"
#include "crypto/sha256.h"
#include "testing/smollm2_vocab.h"
#include "text/detokenizer.h"

namespace hearth::api {
namespace {

const std::vector<std::string> kJsonRoutes = {
    "/generate", "/v1/completions", "/v1/chat/completions", "/v1/embeddings",
    "/tokenize", "/detokenize",     "/admin/models"};

// As somebody who may use each of them.
RawResponse post(WholeServer& whole, const std::string& route, const std::string& body) {
  const auto identities = security::Identities::create(
      {{"ops", crypto::sha256_hex("ops-key"), {"manage-models", "use-models"}}});
  EXPECT_TRUE(identities);
  whole.app().set_identities(std::make_shared<const security::Identities>(*identities));
  return whole.send(http_post(route, body, "Authorization: Bearer ops-key\r\n"));
}

std::string message_of(const RawResponse& response) {
  const auto document = parse_json(response.body);
  if (!document || !document->contains("error")) return response.body;
  return (*document)["error"]["message"].get<std::string>();
}

TEST(Fault05, MalformedJsonIsRefusedWithItsPosition) {
  WholeServer whole;
  Undisturbed stream(whole);
  const std::vector<std::pair<std::string, int>> cases = {
      {"", 0},
      {"{", 1},
      {R"({"prompt":"x"}})", 15},
      {R"({"prompt":"x",})", 15},
      {R"({'prompt':"x"})", 2},
      {R"({"prompt":"x" "y":1})", 17},
      {R"({"prompt":x})", 11},
      {R"({"prompt":"x","prompt":"y"})", 22},
      {R"({"prompt":"x","temperature":1e999})", 33},
      {R"({"prompt":"x","temperature":-1e999})", 34},
      {R"({"prompt":"x","a":{"b":1,"b":2}})", 28},
      {R"({"prompt":"x","temperature":NaN})", 29},
      {R"({"prompt":"x","temperature":01})", 30},
      {R"({"prompt":"x","temperature":+1})", 29},
      {"{\"prompt\":\"a\nb\"}", 13},
      {R"({"prompt":"x"} // why not)", 16},
      {"\xef\xbb{\"prompt\":\"x\"}", 3},
  };
  for (const std::string& route : kJsonRoutes) {
    for (const auto& [body, position] : cases) {
      SCOPED_TRACE(route + " " + body);
      const RawResponse response = post(whole, route, body);
      EXPECT_EQ(verdict(response), "400 invalid_json");
      const std::string wanted = "at byte " + std::to_string(position) + ":";
      EXPECT_NE(message_of(response).find(wanted), std::string::npos) << message_of(response);
    }
  }
  stream.check_after({errors_of("invalid_json")});
  EXPECT_EQ(stream.foreign_tokens(), 0);
}

TEST(Fault06, DeepNestingIsRefused) {
  WholeServer whole;
  Undisturbed stream(whole);
  for (const std::string& route : kJsonRoutes) {
    // Administrators may send no more than 64 KiB.
    const int depth = route == "/admin/models" ? 10'000 : 100'000;
    std::string objects;
    for (int i = 0; i < depth; ++i) objects += "{\"a\":";
    const std::string arrays(depth, '[');
    for (const std::string& body :
         {arrays, arrays + std::string(depth, ']'), objects,
          objects + "1" + std::string(depth, '}'), "{\"prompt\":" + arrays,
          "{\"messages\":" + arrays + std::string(depth, ']') + "}",
          "{\"prompt\":\"x\",\"logit_bias\":" + objects}) {
      const RawResponse response = post(whole, route, body);
      EXPECT_EQ(verdict(response), "400 json_too_deep") << route << body.substr(0, 40);
      EXPECT_NE(message_of(response).find("byte "), std::string::npos) << message_of(response);
    }
  }
  stream.check_after({errors_of("json_too_deep")});
  EXPECT_EQ(stream.foreign_tokens(), 0);
}

TEST(Fault07, TextThatIsNoUtf8IsRefused) {
  WholeServer whole;
  Undisturbed stream(whole);
  const std::vector<std::string> broken = {"\xff",
                                           "\x80",
                                           "\xc3",
                                           "a\xc3(",
                                           "\xc0\xaf",
                                           "\xe2\x82",
                                           "\xed\xa0\x80",
                                           "\xf4\x90\x80\x80",
                                           "\xf8\x88\x80\x80\x80",
                                           "\\ud800",
                                           "\\udc00",
                                           "\\ud800x",
                                           "\\ud800\\ud800",
                                           "\\udc00\\ud800",
                                           std::string("a\0b", 3)};
  for (const std::string& bad : broken) {
    SCOPED_TRACE(bad);
    for (const std::string& body : {
             "{\"prompt\":\"" + bad + "\"}",
             "{\"messages\":[{\"role\":\"user\",\"content\":\"" + bad + "\"}]}",
             "{\"" + bad + "\":1,\"prompt\":\"x\"}",
             "{\"prompt\":\"x\",\"stop\":[\"" + bad + "\"]}",
         }) {
      for (const std::string& route : kJsonRoutes) {
        const RawResponse response = post(whole, route, body);
        EXPECT_EQ(verdict(response), "400 invalid_json") << route;
        EXPECT_TRUE(net::is_valid_utf8(response.body));
      }
    }
  }
  // NUL as an escape is proper JSON, and yet nothing that a text has.
  for (const char* body :
       {R"({"prompt":"a\u0000b"})", R"({"prompt":"x","stop":"\u0000"})", R"({"\u0000":1})",
        R"({"messages":[{"role":"user","content":"\u0000"}]})"}) {
    for (const std::string& route : kJsonRoutes) {
      EXPECT_EQ(verdict(post(whole, route, body)), "400 invalid_value") << route << body;
    }
  }
  for (const char* query : {"prompt=%ff", "prompt=%00", "prompt=%ed%a0%80", "pro%c3mpt=x"}) {
    EXPECT_EQ(verdict(whole.post(std::string("/generate?") + query, "")), "400 invalid_target")
        << query;
  }
  stream.check_after(
      {errors_of("invalid_json"), errors_of("invalid_value"), errors_of("invalid_target")});
  EXPECT_EQ(stream.foreign_tokens(), 0);
}

// What a chat answer, streamed or not, says in choice 0: its text, and the bytes of its tokens.
struct Said {
  std::string text;
  std::vector<text::TokenId> bytes;
};
void add_to(Said& said, const Json& content, const Json& logprobs) {
  if (content.is_string()) said.text += content.get<std::string>();
  if (!logprobs.is_object()) return;
  for (const Json& token : logprobs["content"]) {
    for (const Json& byte : token["bytes"]) said.bytes.push_back(byte.get<text::TokenId>());
  }
}

TEST(Fault07, TextFromTheModelIsValidUtf8HoweverItIsCut) {
  WholeServer whole;
  Undisturbed stream(whole);
  const RawBytes tokenizer;
  // Bytes of one kind by force, in all orders: two, three and four of them to a code point, then
  // every byte there is.
  const std::vector<std::string> biases = {R"({"195":100,"169":100})",
                                           R"({"226":100,"130":100,"172":100,"65":100})",
                                           R"({"240":100,"159":100,"152":100,"128":100})", "{}"};
  int seed = 0;
  for (const std::string& bias : biases) {
    for (int round = 0; round < 4; ++round) {
      const std::string body =
          R"({"messages":[{"role":"user","content":"x"}],"max_tokens":96,"temperature":1.5,)"
          R"("ignore_eos":true,"logprobs":true,"seed":)" +
          std::to_string(++seed) + R"(,"logit_bias":)" + bias;
      const RawResponse whole_answer = whole.post("/v1/chat/completions", body + "}");
      ASSERT_TRUE(net::is_valid_utf8(whole_answer.body)) << whole_answer.body;
      const auto document = parse_json(whole_answer.body);
      ASSERT_TRUE(document) << whole_answer.body;
      Said at_once;
      const Json& choice = (*document)["choices"][0];
      add_to(at_once, choice["message"]["content"], choice["logprobs"]);
      ASSERT_EQ(at_once.bytes.size(), 96u);
      EXPECT_EQ(at_once.text, text::decode(tokenizer, at_once.bytes));

      const RawResponse streamed = whole.post("/v1/chat/completions", body + R"(,"stream":true})");
      ASSERT_TRUE(streamed.complete);
      Said in_parts;
      for (const std::string& event : events_of(streamed.body)) {
        ASSERT_TRUE(net::is_valid_utf8(event)) << event;
        if (event == "[DONE]") continue;
        const auto chunk = parse_json(event);
        ASSERT_TRUE(chunk) << event;
        const Json& part = (*chunk)["choices"][0];
        add_to(in_parts, part["delta"].value("content", Json()), part["logprobs"]);
      }
      EXPECT_EQ(in_parts.text, at_once.text);
      EXPECT_EQ(in_parts.bytes, at_once.bytes);

      // A stop string that ends within what would become a replacement character, or is whole.
      const RawResponse stopped = whole.post(
          "/v1/chat/completions", body + R"(,"stop":["\u00e9\u00e9","\u20ac","\ufffd\ufffd"]})");
      EXPECT_EQ(stopped.status, 200);
      EXPECT_TRUE(net::is_valid_utf8(stopped.body));
    }
  }
  // No fault for the server, so there is nothing that it should have counted.
  EXPECT_EQ(whole.metrics().find("\nhearth_errors_total{"), std::string::npos);
  stream.check_after({});
}

// Passes everything on and remembers the longest text it was given.
class Measured final : public text::Tokenizer {
 public:
  explicit Measured(std::shared_ptr<const text::Tokenizer> tokenizer)
      : tokenizer_(std::move(tokenizer)) {}
  std::vector<text::TokenId> encode(std::span<const text::TextPiece> pieces,
                                    bool add_special) const override {
    std::size_t bytes = 0;
    for (const text::TextPiece& piece : pieces) bytes += piece.text.size();
    for (std::size_t seen = longest; bytes > seen && !longest.compare_exchange_weak(seen, bytes);) {
    }
    return tokenizer_->encode(pieces, add_special);
  }
  void append_bytes(text::TokenId id, std::string& out, bool control) const override {
    tokenizer_->append_bytes(id, out, control);
  }
  std::size_t vocab_size() const override { return tokenizer_->vocab_size(); }
  const text::TokenizerData& data() const override { return tokenizer_->data(); }
  bool is_control(text::TokenId id) const override { return tokenizer_->is_control(id); }
  mutable std::atomic<std::size_t> longest{0};

 private:
  const std::shared_ptr<const text::Tokenizer> tokenizer_;
};

TEST(Fault08, PromptsOfNewlinesAreRefusedSoon) {
  WholeServerOptions options;
  auto tokenizer = text::make_tokenizer(testing::smollm2_vocab(HEARTH_TEST_DATA));
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  const auto measured = std::make_shared<Measured>(*tokenizer);
  options.tokenizer = measured;
  WholeServer whole(options);
  Undisturbed stream(whole);
  std::size_t longest = 0;
  for (const std::string& token : (*tokenizer)->data().tokens) {
    longest = std::max(longest, token.size());
  }
  // Two bytes each in JSON: as many as a body can have; and as many as are tokenized just to be
  // sure that they do not fit.
  const std::size_t fits = longest * 1024;
  const auto escaped = [](std::size_t count) {
    std::string out;
    for (std::size_t i = 0; i < count; ++i) out += "\\n";
    return out;
  };
  for (const std::size_t count : {(std::size_t{8} << 20) / 2 - 100, fits}) {
    for (const auto& [route, body] : std::vector<std::pair<std::string, std::string>>{
             {"/generate", R"({"prompt":")" + escaped(count) + "\"}"},
             {"/v1/chat/completions",
              R"({"messages":[{"role":"user","content":")" + escaped(count) + "\"}]}"}}) {
      const auto start = std::chrono::steady_clock::now();
      EXPECT_EQ(verdict(whole.post(route, body)), "400 context_length_exceeded") << route << count;
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
      RecordProperty(route.substr(1, 8) + std::to_string(count), std::to_string(took.count()));
      EXPECT_LT(took, 30s) << count;
    }
  }
  EXPECT_GE(measured->longest, fits);
  EXPECT_LT(measured->longest, 2 * fits);  // the rest is refused by its length alone
  stream.check_after({errors_of("context_length_exceeded")});
  EXPECT_EQ(stream.foreign_tokens(), 0);
}

TEST(Fault09, PromptsOverTheContextAreRefused) {
  WholeServer whole;
  Undisturbed stream(whole);
  const std::string long_text(1024, 'x');
  std::string ids = "1";
  for (int i = 0; i < 1023; ++i) ids += ",1";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"/generate", R"({"prompt":")" + long_text + "\"}"},
      {"/generate", R"({"prompt":")" + std::string(1'000'000, 'x') + "\"}"},
      {"/v1/completions", R"({"prompt":")" + long_text + "\"}"},
      {"/v1/completions", R"({"prompt":[)" + ids + "]}"},
      {"/v1/chat/completions", R"({"messages":[{"role":"user","content":")" + long_text + "\"}]}"},
      {"/generate", R"({"prompt":"x","max_tokens":1025})"},
      {"/v1/completions", R"({"prompt":"x","max_tokens":1025})"},
      {"/v1/chat/completions", R"({"messages":[{"role":"user","content":"x"}],"max_tokens":1025})"},
      {"/v1/chat/completions",
       R"({"messages":[{"role":"user","content":"x"}],"max_completion_tokens":1025})"},
  };
  for (const auto& [route, body] : cases) {
    EXPECT_EQ(verdict(whole.post(route, body)), "400 context_length_exceeded")
        << route << " " << body.substr(0, 100);
  }
  stream.check_after({errors_of("context_length_exceeded")});
  EXPECT_EQ(stream.foreign_tokens(), 0);
}

TEST(Fault09, NumbersBeyondReasonAreRefused) {
  WholeServer whole;
  Undisturbed stream(whole);
  const std::vector<std::string> hostile = {"-1000",
                                            "-2147483649",
                                            "-9223372036854775808",
                                            "-9223372036854775809",
                                            "2147483648",
                                            "4294967296",
                                            "4294967297",
                                            "9223372036854775807",
                                            "9223372036854775808",
                                            "18446744073709551615",
                                            "18446744073709551616",
                                            "1e18",
                                            "1e19",
                                            "1e300",
                                            "-1e300",
                                            "\"1e5\"",
                                            "true",
                                            "[]",
                                            "{}"};
  const auto refused = [&](const std::string& route, const std::string& body) {
    const std::string found = verdict(whole.post(route, body));
    EXPECT_TRUE(found == "400 invalid_value" || found == "400 invalid_type" ||
                found == "400 unsupported_field" || found == "400 unknown_field")
        << route << " " << body << ": " << found;
  };
  const std::string chat = R"({"messages":[{"role":"user","content":"x"}],)";
  const std::string prompt = R"({"prompt":"x",)";
  for (const char* name :
       {"max_tokens", "temperature", "top_p", "min_p", "repetition_penalty", "presence_penalty",
        "frequency_penalty", "n", "logprobs", "best_of", "top_logprobs", "max_completion_tokens"}) {
    for (const std::string& value : hostile) {
      const std::string field = std::string("\"") + name + "\":" + value + "}";
      // The one boolean among them.
      if (std::string(name) != "logprobs" || value != "true") {
        refused("/v1/chat/completions", chat + field);
      }
      refused("/v1/completions", prompt + field);
      refused("/generate", prompt + field);
    }
  }
  // top_k takes all that 32 bits hold; a seed all that 64 do; a fraction is none of them.
  for (const char* value : {"-1000", "2147483648", "18446744073709551616", "1e300", "0.5", "{}"}) {
    refused("/v1/completions", prompt + "\"top_k\":" + value + "}");
  }
  for (const char* value : {"18446744073709551616", "-9223372036854775809", "1e300", "0.5", "{}"}) {
    refused("/v1/completions", prompt + "\"seed\":" + value + "}");
  }
  for (const char* name : {"max_tokens", "temperature", "top_p", "seed", "top_k"}) {
    for (const char* value : {"-99999999999999999999", "1e999", "nan", "inf", "0x10", "", "1;2"}) {
      const std::string found =
          verdict(whole.post(std::string("/generate?prompt=x&") + name + "=" + value, ""));
      EXPECT_TRUE(found == "400 invalid_value" || found == "400 invalid_type") << name << value;
    }
  }
  for (const std::string& id : {"-1", "256", "2147483648", "18446744073709551616", "1.5", "1e3"}) {
    const std::string found =
        verdict(whole.post("/v1/completions", R"({"prompt":[1,)" + id + "]}"));
    EXPECT_EQ(found, "400 invalid_prompt") << id;
    refused("/v1/completions", prompt + R"("logit_bias":{")" + id + R"(":1}})");
    const std::string back = verdict(whole.post("/detokenize", R"({"tokens":[)" + id + "]}"));
    EXPECT_TRUE(back == "400 invalid_type" || back == "400 invalid_prompt") << id << back;
  }
  stream.check_after(
      {errors_of("invalid_value"), errors_of("invalid_type"), errors_of("invalid_prompt")});
  EXPECT_EQ(stream.foreign_tokens(), 0);
}

TEST(Fault14, ChatTemplatesInRequestsAreRefusedAtAnyDepth) {
  WholeServer whole;
  Undisturbed stream(whole);
  const std::string evil = R"("chat_template":"{{ ''.__class__ }}")";
  std::vector<std::string> places = {
      evil,
      R"("chat\u005ftemplate":"x")",
      R"("\u0063hat_template":null)",
      R"("chat_template":{"chat_template":1})",
      R"("extra_body":{)" + evil + "}",
      R"("chat_template_kwargs":{)" + evil + "}",
      R"("stream_options":{)" + evil + "}",
      R"("logit_bias":{"chat_template":1})",
      R"("a":[[[{"b":[{)" + evil + "}]}]]]",
  };
  std::string deep = "{" + evil + "}";
  for (int i = 0; i < 60; ++i) deep = i % 2 == 0 ? "[" + deep + "]" : "{\"x\":" + deep + "}";
  places.push_back("\"deep\":" + deep);
  for (const std::string& place : places) {
    SCOPED_TRACE(place);
    for (const std::string& route : kJsonRoutes) {
      const RawResponse response =
          post(whole, route,
               R"({"prompt":"x","messages":[{"role":"user","content":"x"}],)" + place + "}");
      EXPECT_EQ(verdict(response), "400 unsupported_field") << route;
      EXPECT_NE(message_of(response).find("chat template"), std::string::npos) << route;
    }
    const RawResponse inside = whole.post(
        "/v1/chat/completions", R"({"messages":[{"role":"user","content":"x",)" + place + "}]}");
    EXPECT_EQ(verdict(inside), "400 unsupported_field");
  }
  EXPECT_EQ(verdict(whole.post("/generate?prompt=x&chat_template=x", "")), "400 unsupported_field");
  // The words are not forbidden, only the field.
  EXPECT_EQ(whole.post("/generate", R"({"prompt":"chat_template","max_tokens":1})").status, 200);
  stream.check_after({errors_of("unsupported_field")});
  EXPECT_EQ(stream.foreign_tokens(), 1);
}

}  // namespace
}  // namespace hearth::api
