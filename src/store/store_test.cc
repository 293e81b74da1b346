#include "store/store.h"

#include <gtest/gtest.h>

#include <map>

#include "base/json.h"
#include "store/names.h"
#include "testing/failing_fs.h"

namespace hearth::store {
namespace {

using testing::FailingFs;

void put(FileSystem& fs, const std::string& path, const std::string& content) {
  ASSERT_TRUE(fs.make_folders(path.substr(0, path.find_last_of('/')), 0755));
  ASSERT_TRUE(write_file_atomically(fs, path, content));
}

Manifest small_manifest() {
  Manifest manifest;
  manifest.name = "tiny";
  manifest.version = "v1";
  manifest.source = "https://example.test/tiny.gguf";
  manifest.pulled_at = "2026-01-01T00:00:00Z";
  manifest.entry = "tiny.gguf";
  manifest.files = {{"tiny.gguf", 4, std::string(64, 'a')}};
  return manifest;
}

class StoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    put(fs_, "/s/models/tiny/v1/tiny.gguf", "1234");
    put(fs_, "/s/models/tiny/v1/manifest.json", manifest_to_json(small_manifest()));
    put(fs_, "/s/models/tiny/current", "v1\n");
  }
  FailingFs fs_{1};
  Store store_{fs_, "/s/"};
};

// Row 34 of the fault table.
TEST_F(StoreTest, NamesCannotLeaveTheStore) {
  ASSERT_TRUE(store_.resolve("tiny"));
  for (const std::string& name :
       {std::string("../tiny"),    std::string(".."),           std::string("."),
        std::string(""),           std::string("tiny/../tiny"), std::string("%2e%2e/tiny"),
        std::string("%2e%2e"),     std::string("tiny\0x", 6),   std::string("/tiny"),
        std::string("tiny/"),      std::string("ti ny"),        std::string("tin\xc3\xbf"),
        std::string("-tiny"),      std::string(".tiny"),        std::string("a..b"),
        std::string("tiny@../v1"), std::string("tiny@"),        std::string("tiny@v1/.."),
        std::string(97, 'a'),      std::string("tiny\n")}) {
    const auto path = store_.resolve(name);
    ASSERT_FALSE(path) << name;
    EXPECT_EQ(path.error().code, "invalid_name") << name;
    for (const char c : path.error().message) EXPECT_TRUE(c >= ' ' && c <= '~');
  }
}

TEST_F(StoreTest, LargeLettersAreTheSameName) { EXPECT_TRUE(store_.resolve("TINY")); }

TEST_F(StoreTest, SymlinksAreRefused) {
  fs_.make_symlink("/s/models/link");
  EXPECT_EQ(store_.resolve("link").error().code, "model_not_found");
  EXPECT_EQ(store_.resolve("link@v1").error().code, "model_damaged");
  fs_.make_symlink("/s/models/tiny/v2");
  EXPECT_EQ(store_.resolve("tiny@v2").error().code, "model_damaged");
  ASSERT_TRUE(fs_.remove("/s/models/tiny/v1/tiny.gguf"));
  fs_.make_symlink("/s/models/tiny/v1/tiny.gguf");
  EXPECT_EQ(store_.resolve("tiny").error().code, "model_damaged");
  EXPECT_TRUE(store_.list()->empty());
}

TEST_F(StoreTest, MissingOrCutFilesAreDamage) {
  put(fs_, "/s/models/tiny/v1/tiny.gguf", "123");
  EXPECT_EQ(store_.resolve("tiny").error().code, "model_damaged");
  ASSERT_TRUE(fs_.remove("/s/models/tiny/v1/tiny.gguf"));
  EXPECT_EQ(store_.resolve("tiny").error().code, "model_damaged");
  ASSERT_TRUE(fs_.remove("/s/models/tiny/v1/manifest.json"));
  EXPECT_EQ(store_.resolve("tiny").error().code, "model_not_found");
}

TEST_F(StoreTest, AManifestOfAnotherModelIsDamage) {
  put(fs_, "/s/models/other/v1/tiny.gguf", "1234");
  put(fs_, "/s/models/other/v1/manifest.json", manifest_to_json(small_manifest()));
  EXPECT_EQ(store_.resolve("other@v1").error().code, "model_damaged");
}

TEST_F(StoreTest, AnEmptyStoreHasNoModels) {
  EXPECT_TRUE(Store(fs_, "/nothing").list()->empty());
  EXPECT_EQ(Store(fs_, "/nothing").resolve("tiny").error().code, "model_not_found");
}

TEST_F(StoreTest, ResolveModelSaysWhatToDo) {
  const auto path = store_.resolve_model("nosuch");
  ASSERT_FALSE(path);
  EXPECT_NE(path.error().message.find("hearth pull nosuch"), std::string::npos);
  EXPECT_EQ(store_.resolve_model("/no/such.gguf").error().code, "model_not_found");
}

TEST(ManifestTest, GoesThereAndBack) {
  const Manifest manifest = small_manifest();
  const auto back = manifest_from_json(manifest_to_json(manifest));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(manifest_to_json(*back), manifest_to_json(manifest));
}

TEST(ManifestTest, EachFieldIsChecked) {
  const Json good = *parse_json(manifest_to_json(small_manifest()));
  for (const auto& [key, value] : good.items()) {
    Json bad = good;
    bad.erase(key);
    EXPECT_FALSE(manifest_from_json(bad.dump())) << "without " << key;
    bad[key] = nullptr;
    EXPECT_FALSE(manifest_from_json(bad.dump())) << "null " << key;
  }
  for (const auto& [key, value] : {std::pair<std::string, Json>{"name", "../x"},
                                   {"name", "manifest.json"},
                                   {"size", -1},
                                   {"size", 1.5},
                                   {"sha256", "short"}}) {
    Json bad = good;
    bad["files"][0][key] = value;
    EXPECT_FALSE(manifest_from_json(bad.dump())) << key;
  }
  Json bad = good;
  bad["entry"] = "other.gguf";
  EXPECT_FALSE(manifest_from_json(bad.dump()));
  EXPECT_FALSE(manifest_from_json("[]"));
}

TEST(NamesTest, NamesFromFiles) {
  EXPECT_EQ(name_from("Qwen2.5-0.5B-Instruct-Q4_K_M.gguf").value(), "qwen2.5-0.5b-instruct-q4_k_m");
  EXPECT_EQ(name_from("My Model (final).gguf").value(), "my-model-final");
  EXPECT_FALSE(name_from(""));
  EXPECT_FALSE(name_from("..."));
}

SourceSettings::Lookup variables(std::map<std::string, std::string> values) {
  return [values = std::move(values)](const char* name) -> std::optional<std::string> {
    const auto it = values.find(name);
    if (it == values.end()) return std::nullopt;
    return it->second;
  };
}

TEST(StoreRootTest, FollowsTheVariables) {
  EXPECT_EQ(Store::default_root(variables({{"HEARTH_HOME", "/a"}, {"HOME", "/h"}})).value(), "/a");
  EXPECT_EQ(Store::default_root(variables({{"XDG_DATA_HOME", "/x"}, {"HOME", "/h"}})).value(),
            "/x/hearth");
  EXPECT_EQ(Store::default_root(variables({{"HOME", "/h"}})).value(), "/h/.local/share/hearth");
  EXPECT_FALSE(Store::default_root(variables({})));
}

TEST(SourceSettingsTest, MirrorsAndPipsConfiguration) {
  FailingFs fs(1);
  SourceSettings settings = SourceSettings::from_environment(variables({}), fs);
  EXPECT_EQ(settings.hf, "https://huggingface.co");
  EXPECT_EQ(settings.pypi, std::vector<std::string>{"https://pypi.org/simple"});

  put(fs, "/etc/pip.conf", "[global]\nindex-url = https://site.test/simple\ncert=/etc/ca.pem\n");
  put(fs, "/h/.config/pip/pip.conf",
      "# mine\n[global]\nextra_index_url =\n    https://a.test/s\n    https://b.test/s\n"
      "trusted-host: mirror.test:8080\n[list]\nindex-url = https://wrong.test\n");
  settings = SourceSettings::from_environment(variables({{"HOME", "/h"}}), fs);
  EXPECT_EQ(settings.pypi, (std::vector<std::string>{"https://site.test/simple", "https://a.test/s",
                                                     "https://b.test/s"}));
  EXPECT_EQ(settings.http.ca_file, "/etc/ca.pem");
  EXPECT_EQ(settings.http.plain_http_hosts, std::vector<std::string>{"mirror.test"});

  settings = SourceSettings::from_environment(
      variables({{"PIP_INDEX_URL", "https://env.test/s"}, {"SSL_CERT_FILE", "/b.pem"}}), fs);
  EXPECT_EQ(settings.pypi, std::vector<std::string>{"https://env.test/s"});
  EXPECT_EQ(settings.http.ca_file, "/b.pem");

  settings = SourceSettings::from_environment(variables({{"PIP_CONFIG_FILE", "/dev/null"}}), fs);
  EXPECT_EQ(settings.pypi, std::vector<std::string>{"https://pypi.org/simple"});

  settings =
      SourceSettings::from_environment(variables({{"HEARTH_MIRROR_PYPI", "https://m.test"},
                                                  {"HEARTH_MIRROR_HF", "https://f.test"},
                                                  {"HEARTH_MIRROR_MODELSCOPE", "https://c.test"}}),
                                       fs);
  EXPECT_EQ(settings.pypi, std::vector<std::string>{"https://m.test"});
  EXPECT_EQ(settings.hf, "https://f.test");
  EXPECT_EQ(settings.modelscope, "https://c.test");
}

}  // namespace
}  // namespace hearth::store
