/* store: a file is there whole or not at all, and under no name that somebody else chose. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/resource.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/store.h"

static char          folder[] = "/tmp/kiln-store-XXXXXX";
static struct store *store;

static int setup(void **state)
{
    char       url[64];
    struct err err;

    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(url, sizeof(url), "file:%s/deep/er", folder);
    store = store_open(url, &err);
    return store ? 0 : -1;
}

static int teardown(void **state)
{
    char command[80];

    (void)state;
    store_close(store);
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    return system(command); /* NOLINT(cert-env33-c): a folder of our own naming */
}

static size_t files_in(const char *name)
{
    char           path[400];
    DIR           *dir;
    struct dirent *entry;
    size_t         n = 0;

    snprintf(path, sizeof(path), "%s/deep/er/%s", folder, name);
    dir = opendir(path);
    while (dir && (entry = readdir(dir)))
        n += entry->d_name[0] != '.';
    if (dir)
        closedir(dir);
    return n;
}

static void what_was_written_is_read_with_its_sha256(void **state)
{
    struct err           err;
    struct stored        stored;
    struct store_writer *writer = store_create(store, &err);
    uint64_t             bytes;
    char                 buffer[16] = { 0 };
    int                  fd;

    (void)state;
    assert_true(store_write(writer, "ab", 2, &err));
    assert_true(store_write(writer, "c", 1, &err));
    assert_true(store_commit(writer, &stored, &err));
    assert_string_equal(stored.sha256,
                        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_int_equal(stored.bytes, 3);
    assert_true(store_key_is_valid(stored.key));
    fd = store_read(store, stored.key, &bytes, &err);
    assert_int_equal(bytes, 3);
    assert_int_equal(read(fd, buffer, sizeof(buffer)), 3);
    assert_string_equal(buffer, "abc");
    close(fd);
    assert_true(store_unlink(store, stored.key, &err));
    assert_true(store_unlink(store, stored.key, &err)); /* gone already is fine */
    assert_int_equal(store_read(store, stored.key, &bytes, &err), -1);
    assert_string_equal(err.sqlstate, "58P01");
}

static void an_abandoned_file_leaves_nothing(void **state)
{
    struct err           err;
    struct store_writer *writer = store_create(store, &err);

    (void)state;
    assert_true(store_write(writer, "x", 1, &err));
    assert_int_equal(files_in("tmp"), 1);
    store_abandon(writer);
    assert_int_equal(files_in("tmp"), 0);
}

static void only_keys_of_the_exact_form_are_taken(void **state)
{
    static const char *const bad[] = { "",
                                       "ab",
                                       "../../etc/passwd",
                                       "ab/cdef",
                                       "AB/cdef0123456789abcdef0123456789",
                                       "ab/cdef0123456789abcdef0123456789a",
                                       "ab/cdef0123456789abcdef01234567/9",
                                       "abc/def0123456789abcdef0123456789",
                                       "ab/../0123456789abcdef01234567890",
                                       "ab/cdef0123456789abcdef0123456789\n" };
    struct err               err;
    uint64_t                 bytes;

    (void)state;
    for (size_t i = 0; i < countof(bad); i++) {
        assert_false(store_key_is_valid(bad[i]));
        assert_int_equal(store_read(store, bad[i], &bytes, &err), -1);
        assert_false(store_unlink(store, bad[i], &err));
    }
    assert_true(store_key_is_valid("ab/cdef0123456789abcdef0123456789"));
}

/* A full disk is played by a limit of file sizes, which gives EFBIG where a disk gives ENOSPC: the
 * same path. */
static void a_write_that_fails_is_an_error_and_leaves_no_litter(void **state)
{
    struct rlimit        small = { 100000, RLIM_INFINITY }, old;
    struct err           err;
    struct store_writer *writer = store_create(store, &err);
    static char          block[65536];

    (void)state;
    getrlimit(RLIMIT_FSIZE, &old);
    small.rlim_max = old.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_true(store_write(writer, block, sizeof(block), &err));
    assert_false(store_write(writer, block, sizeof(block), &err));
    assert_string_equal(err.sqlstate, "58030");
    setrlimit(RLIMIT_FSIZE, &old);
    store_abandon(writer);
    assert_int_equal(files_in("tmp"), 0);
}

static void a_whole_file_is_copied_from_its_start(void **state)
{
    struct err    err;
    struct stored stored;
    FILE         *file = tmpfile();

    (void)state;
    fputs("abc", file);
    fflush(file); /* the position is at the end now */
    assert_true(store_put_fd(store, fileno(file), &stored, &err));
    assert_int_equal(stored.bytes, 3);
    fclose(file);
}

static void other_urls_are_refused_with_a_sentence(void **state)
{
    static const char *const bad[] = { "s3://bucket",     "s3://b", "file:relative",
                                       "file://host/dir", "/dir",   "" };
    struct err               err;

    (void)state;
    for (size_t i = 0; i < countof(bad); i++) {
        assert_null(store_open(bad[i], &err));
        assert_string_equal(err.sqlstate, "F0000");
    }
}

struct told {
    size_t  n;
    char    key[STORE_KEY_CHARS + 1];
    int64_t age_s;
};

static void note(void *ctx, const char *key, int64_t age_s)
{
    struct told *told = ctx;

    told->n++;
    told->age_s = age_s;
    snprintf(told->key, sizeof(told->key), "%s", key);
}

static void a_folder_tells_its_files_a_page_at_a_time(void **state)
{
    struct told          told   = { 0 };
    struct stored        stored = { 0 };
    struct store_writer *writer = store_create(store, NULL);
    unsigned             number;
    char                 other[400];
    size_t               all;

    (void)state;
    assert_true(store_write(writer, "x", 1, NULL));
    assert_true(store_commit(writer, &stored, NULL));
    number = (unsigned)strtoul(stored.key, NULL, 16);
    snprintf(other, sizeof(other), "%s/deep/er/%.2s/notes", folder, stored.key);
    close(open(other, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)); /* not ours: not told */
    all = store_list(store, number, 0, 1000, note, &told);
    assert_int_equal(all, told.n);
    assert_in_range(all, 1, 999);
    assert_in_range(told.age_s, 0, 60);
    assert_true(store_key_is_valid(told.key));
    assert_int_equal(store_list(store, number, all, 1000, note, &told), 0);
    assert_int_equal(store_list(store, number, 0, 0, note, &told), 0);
    assert_true(store_unlink(store, stored.key, NULL));
    assert_int_equal(store_list(store, number, 0, 1000, note, &told), all - 1);
    unlink(other);
}

static void *busy(void *is_over)
{
    while (!__atomic_load_n((const bool *)is_over, __ATOMIC_RELAXED)) {
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();

        EVP_DigestInit_ex(ctx, EVP_sha512(), NULL);
        EVP_MD_CTX_free(ctx);
    }
    return NULL;
}

/* Who forks beside a thread that is in libcrypto gets its locks, held for ever: with libcrypto's
 * SHA-256, where this process had not used it before, one in some thirty of these children waited
 * till it was killed. */
static void a_child_stores_whatever_other_threads_were_at(void **state)
{
    static const char data[]  = "a picture";
    bool              is_over = false;
    pthread_t         threads[2];

    (void)state;
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, busy, &is_over), 0);
    for (int i = 0; i < 300; i++) {
        pid_t child = fork();
        int   status;

        if (child == 0) {
            struct err           err;
            struct store_writer *writer;
            bool                 ok;

            alarm(10);
            writer = store_create(store, &err);
            ok     = writer && store_write(writer, data, sizeof data, &err);
            store_abandon(writer);
            _exit(ok ? 0 : 1);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
    __atomic_store_n(&is_over, true, __ATOMIC_RELAXED);
    for (size_t i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_child_stores_whatever_other_threads_were_at), /* first: see there */
        cmocka_unit_test(what_was_written_is_read_with_its_sha256),
        cmocka_unit_test(an_abandoned_file_leaves_nothing),
        cmocka_unit_test(only_keys_of_the_exact_form_are_taken),
        cmocka_unit_test(a_write_that_fails_is_an_error_and_leaves_no_litter),
        cmocka_unit_test(a_whole_file_is_copied_from_its_start),
        cmocka_unit_test(a_folder_tells_its_files_a_page_at_a_time),
        cmocka_unit_test(other_urls_are_refused_with_a_sentence),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
