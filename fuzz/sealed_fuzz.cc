// Sealed files. An even first byte: the rest is the file. An odd one: the rest are edits of a good
// file, three bytes each (where, two bytes; what is flipped there). Whatever was changed, nothing
// is given but what was sealed.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/fs.h"
#include "formats/sealed_reader.h"
#include "formats/sealed_writer.h"

namespace {

using namespace hearth;
using namespace hearth::sealed;

const std::string kText(kChunkBytesMin + 700, 'm');

KeyRef the_key() {
  const std::vector<std::byte> bytes(kKeyBytes, std::byte{7});
  return make_key(crypto::Secret(bytes));
}

// A file without a name: its path leads to the descriptor.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view content) : fd_(memfd_create("sealed", MFD_CLOEXEC)) {
    HEARTH_CHECK(fd_ >= 0);
    HEARTH_CHECK(write(fd_, content.data(), content.size()) ==
                 static_cast<ssize_t>(content.size()));
  }
  ~MemoryFile() { close(fd_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  const int fd_;
};

std::string make_sealed() {
  std::string folder = "/tmp/hearth_fuzz_XXXXXX";
  HEARTH_CHECK(mkdtemp(folder.data()) != nullptr);
  FileSystem& fs = FileSystem::real();
  const MemoryFile plain(kText);
  const std::vector<std::byte> seed(32, std::byte{9});
  const auto signer = crypto::Ed25519Key::from_seed(crypto::Secret(seed));
  const KeyRef key = the_key();
  HEARTH_CHECK(
      seal_file(fs, plain.path(), folder + "/s", {{&key, 1}, &signer, kChunkBytesMin}).has_value());
  std::string out = *read_small_file(fs, folder + "/s");
  (void)fs.remove(folder + "/s");
  (void)fs.remove(folder);
  return out;
}

// False: something was refused.
bool read_through(const std::string& file) {
  static const KeyRef key = the_key();
  const MemoryFile opened(file);
  const auto reader = SealedReader::open(opened.path(), {key, {}});
  if (!reader) {
    HEARTH_CHECK(!reader.error().message.empty());
    return false;
  }
  HEARTH_CHECK(reader->layout().file_bytes() == file.size());
  // NOLINTNEXTLINE(modernize-avoid-c-arrays)
  alignas(SealedReader::kAlignment) static std::byte chunk[kChunkBytesMin];
  for (std::uint64_t i = 0; i < reader->layout().chunks; ++i) {
    if (!reader->read_chunk(i, chunk)) return false;
    const std::size_t n = reader->layout().chunk_size(i);
    HEARTH_CHECK(kText.compare(i * kChunkBytesMin, n, reinterpret_cast<const char*>(chunk), n) ==
                 0);
  }
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  static const std::string whole = make_sealed();
  if (size == 0) return 0;
  std::string file;
  if (bytes[0] % 2 == 0) {
    file.assign(reinterpret_cast<const char*>(bytes) + 1, size - 1);
    const auto raw = std::as_bytes(std::span(file));
    (void)read_front(raw.first(std::min(raw.size(), kBodyOffset)), file.size());
    (void)decode_pending(Header{}, raw);
  } else {
    file = whole;
    for (std::size_t i = 1; i + 2 < size; i += 3) {
      const std::size_t at = (bytes[i] * 256u + bytes[i + 1]) % file.size();
      file[at] = static_cast<char>(file[at] ^ bytes[i + 2]);
    }
  }
  HEARTH_CHECK(read_through(file) == (file == whole));
  return 0;
}
