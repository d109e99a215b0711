/* Runs a fuzz target over files, or over each file of a folder, where there is no libFuzzer. */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *data = NULL;
    size_t size = 0;
    char buffer[65536];
    size_t length;
    uint8_t *exact;

    if (file == NULL) {
        perror(path);
        return -1;
    }
    while ((length = fread(buffer, 1, sizeof(buffer), file)) > 0) {
        data = realloc(data, size + length);
        if (data == NULL)
            abort();
        memcpy(data + size, buffer, length);
        size += length;
    }
    fclose(file);
    /* Of its exact size, so that AddressSanitizer sees the first byte read beyond it. */
    exact = malloc(size == 0 ? 1 : size);
    if (exact == NULL)
        abort();
    if (size > 0)
        memcpy(exact, data, size);
    free(data);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    return 1;
}

/* The count of files run, or -1. */
static int run_path(const char *path)
{
    struct stat st;
    DIR *dir;
    struct dirent *entry;
    int count = 0;

    if (stat(path, &st) < 0) {
        perror(path);
        return -1;
    }
    if (!S_ISDIR(st.st_mode))
        return run_file(path);
    dir = opendir(path);
    if (dir == NULL) {
        perror(path);
        return -1;
    }
    while ((entry = readdir(dir)) != NULL) {
        char name[4096];

        if (entry->d_name[0] == '.')
            continue;
        snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        if (run_path(name) < 0) {
            closedir(dir);
            return -1;
        }
        count++;
    }
    closedir(dir);
    return count;
}

int main(int argc, char **argv)
{
    int count = 0;

    for (int i = 1; i < argc; i++) {
        int ran = run_path(argv[i]);

        if (ran < 0)
            return 1;
        count += ran;
    }
    printf("%d inputs\n", count);
    return count > 0 ? 0 : 1; /* an empty corpus tests nothing */
}
