/* What a fuzz target gives, to libFuzzer or to driver.c. */
#ifndef VMAIL_TESTS_FUZZ_FUZZ_H
#define VMAIL_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
