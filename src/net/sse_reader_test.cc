#include "net/sse_reader.h"

#include <gtest/gtest.h>

#include <vector>

#include "net/sse.h"

namespace hearth::net {
namespace {

// Fed in pieces of that many bytes.
std::vector<std::string> data_of(std::string_view stream, std::size_t piece) {
  std::vector<std::string> out;
  SseReader reader([&](std::string_view data) { out.emplace_back(data); });
  for (std::size_t i = 0; i < stream.size(); i += piece)
    EXPECT_TRUE(reader.feed(stream.substr(i, piece)));
  return out;
}

TEST(SseReader, TellsDataLinesHoweverTheyAreCut) {
  const std::string stream =
      ": a comment\n\ndata: one\n\ndata:two\r\n\r\nevent: x\nid: 7\ndata:  three\rdata\n\n"
      "database: no\ndata: [DONE]\n\ndata: without an end";
  const std::vector<std::string> expected = {"one", "two", " three", "[DONE]"};
  for (std::size_t piece = 1; piece <= stream.size(); ++piece)
    EXPECT_EQ(data_of(stream, piece), expected) << piece;
}

TEST(SseReader, ReadsWhatTheWriterWrites) {
  EXPECT_EQ(data_of(sse_event("", "{\"a\": 1}") + sse_event("end", "x\ny"), 3),
            (std::vector<std::string>{"{\"a\": 1}", "x", "y"}));
}

TEST(SseReader, RefusesALineWithoutEnd) {
  SseReader reader([](std::string_view) {});
  const std::string piece(SseReader::kLineBytesMax / 4, 'x');
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(reader.feed(piece));
  EXPECT_FALSE(reader.feed("x"));
}

}  // namespace
}  // namespace hearth::net
