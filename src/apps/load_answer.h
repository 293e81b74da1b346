// Streamed answers of servers with the OpenAI API, and what is measured of one.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "net/load_client.h"

namespace hearth::apps {

// A request that was answered in full.
struct LoadSample {
  double ttft_ms = 0;             // from sending to the first text (to the end if there was none)
  std::optional<double> tpot_ms;  // from the first text to the last, for each token but the first
  double total_ms = 0;
  std::vector<float> gaps_ms;  // between chunks with text
  std::int64_t input_tokens = 0, output_tokens = 0;
  std::optional<std::int64_t> cached_tokens;  // if the server tells
  bool has_usage = false;                     // else the tokens are the chunks with text
};

// Keeps its memory from chunk to chunk and is shared by all answers of a thread.
class ChunkParser {
 public:
  ChunkParser();
  ~ChunkParser();
  ChunkParser(const ChunkParser&) = delete;
  ChunkParser& operator=(const ChunkParser&) = delete;

 private:
  friend class AnswerReader;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Reads one answer, of chat or of completions, as its data lines come.
class AnswerReader {
 public:
  explicit AnswerReader(ChunkParser& parser) : parser_(parser) {}

  void read(std::string_view data, net::LoadTime at);
  // Errors: kInvalid "broken_stream": what is no chunk, no reason to finish at the end; kIo
  // "error_in_stream": the server's own words.
  Result<LoadSample> finish(net::LoadTime sent, net::LoadTime ended);

 private:
  void text_came(net::LoadTime at);

  ChunkParser& parser_;
  LoadSample sample_;
  std::int64_t chunks_ = 0;  // with text
  net::LoadTime first_, last_;
  bool finished_ = false;
  std::optional<Error> broken_;
};

// An answer that is not the wanted one, in a line: its status, and what it says about itself.
std::string describe_answer(const net::LoadHead& head, std::string_view document);

// The id of the first model in an answer of /v1/models.
Result<std::string> first_model_in(const net::LoadHead& head, std::string_view document);

}  // namespace hearth::apps
