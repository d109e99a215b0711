# One interface target that every target of ours links: warnings, hardening, sanitizers.
add_library(vmail_warnings INTERFACE)
target_include_directories(vmail_warnings INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_definitions(vmail_warnings INTERFACE _GNU_SOURCE _FILE_OFFSET_BITS=64
    VMAIL_VERSION="${PROJECT_VERSION}")
target_compile_options(vmail_warnings INTERFACE -Wall -Wextra -Wconversion -Wshadow
    -Wno-missing-field-initializers -Wstrict-prototypes -Wmissing-prototypes -Wvla
    $<$<BOOL:${VMAIL_WERROR}>:-Werror>)
if(VMAIL_SANITIZE)
    target_compile_options(vmail_warnings INTERFACE -fsanitize=address,undefined
        -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(vmail_warnings INTERFACE -fsanitize=address,undefined)
endif()
if(VMAIL_FUZZ)
    target_compile_options(vmail_warnings INTERFACE -fsanitize=fuzzer-no-link)
endif()
# assert stays on in release: the default NDEBUG is taken out
string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_RELEASE "${CMAKE_C_FLAGS_RELEASE}")
string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_RELWITHDEBINFO "${CMAKE_C_FLAGS_RELWITHDEBINFO}")
target_compile_options(vmail_warnings INTERFACE
    $<$<CONFIG:Release>:-D_FORTIFY_SOURCE=2$<SEMICOLON>-fstack-protector-strong$<SEMICOLON>-fstack-clash-protection>)
target_link_options(vmail_warnings INTERFACE
    $<$<CONFIG:Release>:-Wl,-z,relro$<SEMICOLON>-Wl,-z,now$<SEMICOLON>-Wl,--as-needed>)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
