# libsieve2, the second Sieve engine; optional. Target: Libsieve::Libsieve
find_path(LIBSIEVE_INCLUDE_DIR sieve2.h)
find_library(LIBSIEVE_LIBRARY NAMES sieve sieve2)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Libsieve REQUIRED_VARS LIBSIEVE_LIBRARY LIBSIEVE_INCLUDE_DIR)
if(Libsieve_FOUND AND NOT TARGET Libsieve::Libsieve)
    add_library(Libsieve::Libsieve UNKNOWN IMPORTED)
    set_target_properties(Libsieve::Libsieve PROPERTIES
        IMPORTED_LOCATION ${LIBSIEVE_LIBRARY}
        INTERFACE_INCLUDE_DIRECTORIES ${LIBSIEVE_INCLUDE_DIR})
endif()
mark_as_advanced(LIBSIEVE_INCLUDE_DIR LIBSIEVE_LIBRARY)
