/*
 * replay: feed a fuzz target the files it is given, or every file of the folders it is given.
 *
 *     kafka_request_fuzz fuzz/corpus/kafka_request_fuzz
 *
 * Each input is copied to a block that ends where the input ends, so that a sanitizer or valgrind sees a read past it.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
    FILE *in = fopen(path, "re");
    uint8_t *data;
    struct stat st;
    size_t n;

    if (!in || fstat(fileno(in), &st) != 0) {
        perror(path);
        return 0;
    }
    n = (size_t)st.st_size;
    data = malloc(n ? n : 1);
    if (!data || fread(data, 1, n, in) != n)
        abort();
    (void)fclose(in);
    (void)LLVMFuzzerTestOneInput(data, n);
    free(data);
    return 1;
}

static int replay_dir(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *ent;
    char name[4096];
    int count = 0;

    if (!dir)
        return 0;
    while ((ent = readdir(dir)) != NULL) {
        if (ent->d_name[0] == '.')
            continue;
        (void)snprintf(name, sizeof name, "%s/%s", path, ent->d_name);
        count += replay_file(name);
    }
    (void)closedir(dir);
    return count;
}

int main(int argc, char **argv)
{
    struct stat st;
    int count = 0;

    for (int i = 1; i < argc; i++)
        count += stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode) ? replay_dir(argv[i]) : replay_file(argv[i]);
    printf("%d inputs replayed\n", count);
    return count == 0; // a corpus that is missing must not look like one that passed
}
