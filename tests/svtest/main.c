/*
 * svtest [--engine native|libsieve] [-v] PATH…: the runner of .svtest files alone, for ctest.
 */
#include <stdio.h>
#include <string.h>

#include "lda/base/error.h"

#include "sieve/svtest.h"

int main(int argc, char **argv)
{
    enum sieve_engine engine = SIEVE_ENGINE_NATIVE;
    unsigned flags = 0;
    int first = 1;
    struct svtest_counts counts;
    struct error err;

    for (; first < argc && argv[first][0] == '-'; first++) {
        if (strcmp(argv[first], "-v") == 0)
            flags |= SVTEST_VERBOSE;
        else if (strcmp(argv[first], "--engine") == 0 && first + 1 < argc)
            engine = strcmp(argv[++first], "libsieve") == 0 ? SIEVE_ENGINE_LIBSIEVE
                                                            : SIEVE_ENGINE_NATIVE;
    }
    if (first >= argc) {
        fprintf(stderr, "usage: svtest [--engine native|libsieve] [-v] PATH…\n");
        return 64;
    }
    if (!svtest_run((const char *const *)&argv[first], (size_t)(argc - first), engine, flags,
        stdout, &counts, &err)) {
        fprintf(stderr, "svtest: %s\n", err.text);
        return 64;
    }
    /* a folder without tests proves nothing */
    return counts.failed == 0 && counts.passed > 0 ? 0 : 1;
}
