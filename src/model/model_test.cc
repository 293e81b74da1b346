// The tiny reference models (tests/data/tiny) on every ISA: logits and greedy tokens in float32.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "base/cpu.h"
#include "base/fault_point.h"
#include "base/json.h"
#include "model/model.h"
#include "testing/quantized_model.h"
#include "testing/temp_folder.h"

namespace hearth::model {
namespace {

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The float32 payload of a NumPy file (format 1.0: 10 bytes, header, data).
std::vector<float> read_npy(const std::string& path) {
  const std::string bytes = read_file(path);
  const auto header = static_cast<std::size_t>(static_cast<unsigned char>(bytes[8])) +
                      static_cast<std::size_t>(static_cast<unsigned char>(bytes[9])) * 256;
  const std::size_t begin = 10 + header;
  std::vector<float> out((bytes.size() - begin) / 4);
  std::memcpy(out.data(), bytes.data() + begin, out.size() * 4);
  return out;
}

// One sequence alone with pages in order: no engine.
struct Runner {
  std::unique_ptr<Model> model;
  std::unique_ptr<backend::KvCache> cache;
  std::vector<std::vector<std::int32_t>> tables;
  std::int64_t position = 0;

  explicit Runner(const std::string& path, backend::CpuOptions options,
                  ReadAhead::Choice read_ahead = ReadAhead::Choice::kUncached) {
    auto source = open_source(path);
    EXPECT_TRUE(source) << source.error().message;
    auto backend = backend::make_cpu_backend(options);
    EXPECT_TRUE(backend);
    auto loaded = Model::load(std::move(*source), std::move(*backend), read_ahead);
    EXPECT_TRUE(loaded) << loaded.error().message;
    model = std::move(*loaded);
    const std::vector<std::int64_t> pages(model->kv_groups().size(), 8);
    cache = std::move(*model->backend().make_cache(model->kv_groups(), pages));
    tables.assign(pages.size(), {0, 1, 2, 3, 4, 5, 6, 7});
  }
  // The logits of all rows.
  std::vector<float> run(const std::vector<std::int32_t>& tokens) {
    backend::Batch batch;
    batch.tokens = tokens;
    batch.cache = cache.get();
    backend::BatchSequence sequence;
    sequence.rows = static_cast<std::int64_t>(tokens.size());
    sequence.position = position;
    for (const auto& t : tables) sequence.page_tables.emplace_back(t);
    batch.sequences.push_back(sequence);
    for (std::size_t i = 0; i < tokens.size(); ++i)
      batch.logit_rows.push_back(static_cast<std::int32_t>(i));
    model->run(batch);
    position += sequence.rows;
    std::vector<float> out;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      const auto row = model->backend().logits(i);
      out.insert(out.end(), row.begin(), row.end());
    }
    return out;
  }
};

class Tiny : public ::testing::TestWithParam<std::tuple<const char*, Isa>> {
 protected:
  void SetUp() override { setenv("HEARTH_ISA", isa_name(std::get<1>(GetParam())), 1); }
  void TearDown() override { unsetenv("HEARTH_ISA"); }
  std::string folder = std::string(HEARTH_TEST_DATA "/tiny/") + std::get<0>(GetParam());
};
INSTANTIATE_TEST_SUITE_P(Models, Tiny,
                         ::testing::Combine(::testing::Values("llama", "llama-tied-bias",
                                                              "llama3-rope", "gemma3_text"),
                                            ::testing::ValuesIn(supported_isas())),
                         [](const auto& p) {
                           std::string name = std::string(std::get<0>(p.param)) + "_" +
                                              isa_name(std::get<1>(p.param));
                           for (char& c : name)
                             if (c == '-') c = '_';
                           return name;
                         });

TEST_P(Tiny, LogitsAndGreedyTokensEqualTheReference) {
  const auto reference = parse_json(read_file(folder + "/reference.json"));
  ASSERT_TRUE(reference);
  const auto tokens = (*reference)["tokens"].get<std::vector<std::int32_t>>();
  const auto greedy = (*reference)["greedy_16"].get<std::vector<std::int32_t>>();
  const std::vector<float> want = read_npy(folder + "/reference_logits.npy");

  Runner runner(folder, {2, backend::Precision::kF32, backend::KvCacheType::kF16});
  const std::vector<float> got = runner.run(tokens);
  ASSERT_EQ(got.size(), want.size());
  double mean = 0;
  double squares = 0;
  for (float x : want) mean += static_cast<double>(x) / static_cast<double>(want.size());
  for (float x : want) squares += std::pow(static_cast<double>(x) - mean, 2);
  const double deviation = std::sqrt(squares / static_cast<double>(want.size()));
  double worst = 0;
  for (std::size_t i = 0; i < want.size(); ++i)
    worst = std::max(worst, std::fabs(static_cast<double>(got[i]) - static_cast<double>(want[i])));
  EXPECT_LT(worst / deviation, 2e-4);
  EXPECT_GT(
      worst,
      0);  // another order of sums; to the bit equal would mean that we compare with ourselves

  const auto vocab = static_cast<std::ptrdiff_t>(runner.model->config().vocab);
  std::vector<float> last(got.end() - vocab, got.end());
  std::vector<std::int32_t> made;
  for (std::size_t i = 0; i < greedy.size(); ++i) {
    made.push_back(static_cast<std::int32_t>(runner.model->backend().argmax(last)));
    last = runner.run({made.back()});
  }
  EXPECT_EQ(made, greedy);
}

// Chunks of a prompt, down to single tokens, and other thread counts: the same bits.
TEST_P(Tiny, ChunksAndThreadsDoNotShow) {
  const auto reference = parse_json(read_file(folder + "/reference.json"));
  const auto tokens = (*reference)["tokens"].get<std::vector<std::int32_t>>();
  for (auto kv :
       {backend::KvCacheType::kF16, backend::KvCacheType::kBF16, backend::KvCacheType::kInt8}) {
    Runner whole(folder, {2, backend::Precision::kDefault, kv});
    const std::vector<float> want = whole.run(tokens);
    for (int threads : {1, 3}) {
      for (std::size_t chunk : {std::size_t{1}, std::size_t{7}}) {
        Runner cut(folder, {threads, backend::Precision::kDefault, kv});
        std::vector<float> got;
        for (std::size_t i = 0; i < tokens.size(); i += chunk) {
          const auto end = std::min(tokens.size(), i + chunk);
          const auto part = cut.run({tokens.begin() + static_cast<std::ptrdiff_t>(i),
                                     tokens.begin() + static_cast<std::ptrdiff_t>(end)});
          got.insert(got.end(), part.begin(), part.end());
        }
        ASSERT_EQ(got.size(), want.size());
        EXPECT_EQ(std::memcmp(got.data(), want.data(), want.size() * 4), 0);
      }
    }
  }
}

// The logits of a few tokens.
std::vector<float> answers(const std::string& path, ReadAhead::Choice read_ahead) {
  Runner runner(path, {2}, read_ahead);
  return runner.run({1, 2, 3, 4});
}

// To the bit, for each way of packing: in every quantised kind, with stacked parts whose rows
// change their order, with biases, and from a folder.
TEST(Model, ReadPastThePageCacheOrMappedIsTheSame) {
  hearth::testing::TempFolder folder;
  const std::string quantized = folder.file("q.gguf");
  ASSERT_TRUE(write_quantized_model(quantized));
  for (const std::string& path : {quantized, std::string(HEARTH_TEST_DATA "/tiny/llama"),
                                  std::string(HEARTH_TEST_DATA "/tiny/llama-tied-bias"),
                                  std::string(HEARTH_TEST_DATA "/tiny/gemma3_text")}) {
    const auto mapped = answers(path, ReadAhead::Choice::kUncached);
    ASSERT_FALSE(mapped.empty());
    EXPECT_EQ(answers(path, ReadAhead::Choice::kEverything), mapped) << path;
    fault::arm("file.refuses_direct", 3);
    EXPECT_EQ(answers(path, ReadAhead::Choice::kEverything), mapped)
        << path << ", one read refused";
    fault::disarm_all();
  }
}

TEST(Model, AFileThatIsCutWhileItLoadsIsAnError) {
  hearth::testing::TempFolder folder;
  const std::string path = folder.file("q.gguf");
  ASSERT_TRUE(write_quantized_model(path));
  auto source = open_source(path);
  ASSERT_TRUE(source);
  // The last tensor of the last layer is gone; what is left is enough for the embedding.
  const TensorView& last = source->weights->tensors().back();
  const MappedFile* const file = source->weights->file_of(last.data);
  ASSERT_NE(file, nullptr);
  const auto begin = static_cast<std::size_t>(last.data.data() - file->bytes().data());
  std::error_code error;
  std::filesystem::resize_file(path, begin + 1, error);
  ASSERT_FALSE(error);
  std::vector<std::byte> probe(3 * MappedFile::kDirectBytes);
  const auto aligned = [&] {
    void* at = probe.data();
    std::size_t room = probe.size();
    return static_cast<std::byte*>(
        std::align(MappedFile::kDirectBytes, MappedFile::kDirectBytes, at, room));
  }();
  if (!file->read_direct(0, {aligned, MappedFile::kDirectBytes}).value_or(false))
    GTEST_SKIP() << "this file system does not read past the page cache";
  auto loaded = Model::load(*source, std::move(*backend::make_cpu_backend({1})),
                            ReadAhead::Choice::kEverything);
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, "file_unreadable");
  EXPECT_EQ(loaded.error().message.find("q: "), 0u) << loaded.error().message;
}

TEST(Model, UnknownArchitectureIsNamed) {
  auto source = open_source(HEARTH_TEST_DATA "/tiny/llama");
  ASSERT_TRUE(source);
  source->folder->config["model_type"] = "perceiver";
  source->folder->config["architectures"] = {"PerceiverForCausalLM"};
  const auto config = source->config();
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().kind, ErrorKind::kUnsupported);
  EXPECT_NE(config.error().message.find("perceiver"), std::string::npos) << config.error().message;
}

TEST(Model, WrongShapesAndMissingTensorsAreErrors) {
  auto source = open_source(HEARTH_TEST_DATA "/tiny/llama");
  ASSERT_TRUE(source);
  source->folder->config["intermediate_size"] = 160;
  auto loaded = Model::load(*source, std::move(*backend::make_cpu_backend({1})));
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, "tensor_shape");
  source->folder->config["intermediate_size"] = 128;
  source->folder->config["num_hidden_layers"] = 4;
  loaded = Model::load(*source, std::move(*backend::make_cpu_backend({1})));
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, "tensor_missing");
}

}  // namespace
}  // namespace hearth::model
