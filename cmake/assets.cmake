# Files inside the program: `hearth_embed(TARGET FUNCTION [URL FILE]...)` gives TARGET a function
# FUNCTION (declared in api/assets.h) that lists each FILE under its URL. The assembler takes the
# bytes as they are, so there is no step before the build and no other tool.
include_guard()

# The content type of each kind of file; a file of another kind stops the configuration.
set(hearth_type_html "text/html; charset=utf-8")
set(hearth_type_css "text/css; charset=utf-8")
set(hearth_type_js "text/javascript; charset=utf-8")
set(hearth_type_svg "image/svg+xml")
set(hearth_type_txt "text/plain; charset=utf-8")

function(hearth_embed target function)
  set(bytes "")
  set(declarations "")
  set(rows "")
  set(files "")
  set(number 0)
  while(ARGN)
    list(POP_FRONT ARGN url file)
    if(NOT EXISTS "${file}")
      message(FATAL_ERROR "${file} is missing (see tools/packages.txt)")
    endif()
    string(REGEX REPLACE "^.*\\." "" suffix "${url}")
    if(url STREQUAL "/")
      set(suffix html)
    endif()
    if(NOT DEFINED hearth_type_${suffix})
      message(FATAL_ERROR "${url}: cmake/assets.cmake knows no content type for .${suffix}")
    endif()
    set(name hearth_asset_${number})
    string(APPEND bytes
      ".globl ${name}\n${name}:\n.incbin \"${file}\"\n${name}_end:\n.byte 0\n"
      ".balign 8\n.globl ${name}_size\n${name}_size:\n.quad ${name}_end - ${name}\n")
    string(APPEND declarations
      "extern const char ${name}[];\nextern const std::uint64_t ${name}_size;\n")
    string(APPEND rows
      "    {\"${url}\", \"${hearth_type_${suffix}}\", {${name}, ${name}_size}},\n")
    list(APPEND files "${file}")
    math(EXPR number "${number} + 1")
  endwhile()

  # Only the assembler's file names folders of this machine; the C++ is the same everywhere, for ccache.
  set(base ${CMAKE_CURRENT_BINARY_DIR}/${function})
  file(CONFIGURE OUTPUT ${base}_bytes.S @ONLY CONTENT
".section .rodata.${function},\"a\",@progbits
@bytes@.section .note.GNU-stack,\"\",@progbits
")
  file(CONFIGURE OUTPUT ${base}.cc @ONLY CONTENT
"#include \"api/assets.h\"

extern \"C\" {
@declarations@}

namespace hearth::api {

std::vector<Asset> ${function}() {
  return {
@rows@  };
}

}  // namespace hearth::api
")
  set_source_files_properties(${base}_bytes.S PROPERTIES
    OBJECT_DEPENDS "${files}" COMPILE_OPTIONS "-Wno-unused-command-line-argument")
  target_sources(${target} PRIVATE ${base}_bytes.S ${base}.cc)
endfunction()
