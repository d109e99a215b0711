#include "store/pq_api.h"

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

#define LIBRARY "libpq.so.5"

static const struct {
    const char *name;
    size_t offset;
} functions[] = {
#define PQ_ROW(function) {#function, offsetof(struct pq_api, function)},
    PQ_FUNCTIONS(PQ_ROW)
#undef PQ_ROW
};

bool pq_api_load(struct pq_api *api, struct error *err)
{
    /* never dlclose'd: libpq's TLS library leaves handlers behind that run at exit */
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

    if (library == NULL) {
        error_set(err, ERROR_CONFIG, "cannot load %s: %s; install libpq5", LIBRARY, dlerror());
        return false;
    }
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        void *address = dlsym(library, functions[i].name);

        if (address == NULL) {
            error_set(err, ERROR_CONFIG, "cannot use %s: it has no %s; version 14 or newer is needed",
                      LIBRARY, functions[i].name);
            return false;
        }
        memcpy((char *)api + functions[i].offset, &address, sizeof address);
    }
    return true;
}
