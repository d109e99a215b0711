# vmail_add_test(NAME name LABEL unit|component SOURCES … LIBRARIES …): one cmocka program, one test
function(vmail_add_test)
    cmake_parse_arguments(T "" "NAME;LABEL" "SOURCES;LIBRARIES;DEFINITIONS" ${ARGN})
    add_executable(${T_NAME} ${T_SOURCES})
    set_target_properties(${T_NAME} PROPERTIES
        RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
    # cmocka's own macros do not pass -Wconversion
    target_compile_options(${T_NAME} PRIVATE -Wno-conversion -Wno-sign-conversion)
    target_compile_definitions(${T_NAME} PRIVATE TEST_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
        TEST_BIN_DIR="${PROJECT_BINARY_DIR}/bin" ${T_DEFINITIONS})
    target_link_libraries(${T_NAME} PRIVATE ${T_LIBRARIES} vmail_warnings cmocka)
    add_test(NAME ${T_NAME} COMMAND ${T_NAME})
    set_tests_properties(${T_NAME} PROPERTIES LABELS ${T_LABEL} TIMEOUT 300)
endfunction()
