#include "sieve/libsieve_api.h"

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

#define LIBRARY "libsieve.so.1"

static const struct {
    const char *name;
    size_t offset;
} functions[] = {
#define LIBSIEVE_ROW(function) {#function, offsetof(struct libsieve_api, function)},
    LIBSIEVE_FUNCTIONS(LIBSIEVE_ROW)
#undef LIBSIEVE_ROW
};

bool libsieve_api_load(struct libsieve_api *api)
{
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

    if (library == NULL)
        return false;
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        void *address = dlsym(library, functions[i].name);

        if (address == NULL)
            return false;
        memcpy((char *)api + functions[i].offset, &address, sizeof address);
    }
    return true;
}
