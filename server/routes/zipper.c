/*
 * zipper: the store hands pieces to libarchive, which writes to the pipe; see zipper.h.
 */
#include "server/routes/zipper.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "server/http/json_text.h"
#include "lib/log.h"

/* Gathered before any of it is written: an error until then can still be answered by a status. */
#define BLOCK_BYTES (256 << 10)

static la_ssize_t on_push(struct archive *archive, void *ctx, const void *bytes, size_t count)
{
    const char *from = bytes;

    (void)archive;
    (void)ctx;
    for (size_t left = count; left > 0;) {
        ssize_t put = write(STDOUT_FILENO, from, left);

        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            exit(EXIT_INTERNAL);
        from += put;
        left -= (size_t)put;
    }
    return (la_ssize_t)count;
}

static struct archive *open_archive(void)
{
    struct archive *archive = archive_write_new();

    if (!archive || archive_write_set_format_zip(archive) != ARCHIVE_OK
        || archive_write_set_options(archive, "compression=store") != ARCHIVE_OK
        || archive_write_set_bytes_per_block(archive, BLOCK_BYTES) != ARCHIVE_OK
        || archive_write_set_bytes_in_last_block(archive, 1) != ARCHIVE_OK
        || archive_write_open(archive, NULL, NULL, on_push, NULL) != ARCHIVE_OK)
        abort();
    return archive;
}

static void begin_entry(struct archive *archive, const char *name, uint64_t bytes, time_t at)
{
    struct archive_entry *entry = archive_entry_new();

    if (!entry)
        abort();
    archive_entry_set_pathname(entry, name);
    archive_entry_set_size(entry, (la_int64_t)bytes);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_mtime(entry, at, 0);
    if (archive_write_header(archive, entry) < ARCHIVE_WARN)
        abort(); /* only for want of memory: the names and sizes are our own */
    archive_entry_free(entry);
}

static void on_bytes(void *ctx, const void *data, size_t bytes)
{
    struct archive *archive = ctx;

    if (archive_write_data(archive, data, bytes) < 0)
        abort();
}

static bool put_file(struct archive *archive, struct store *store, const json_t *entry,
                     struct err *err)
{
    uint64_t bytes = (uint64_t)json_integer_value(json_object_get(entry, "bytes"));

    begin_entry(archive, text_of(entry, "name"), bytes,
                (time_t)json_integer_value(json_object_get(entry, "at")));
    return store_stream(store, text_of(entry, "storage_key"), bytes, text_of(entry, "sha256"),
                        on_bytes, archive, err);
}

static void put_readme(struct archive *archive, const json_t *manifest)
{
    const char *readme = text_of(manifest, "readme");
    char        name[160];

    snprintf(name, sizeof(name), "%.120s/README.txt", text_of(manifest, "folder"));
    begin_entry(archive, name, strlen(readme), time(NULL));
    on_bytes(archive, readme, strlen(readme));
}

static int put_all(struct store *store, const json_t *manifest)
{
    struct archive *archive = open_archive();
    struct err      err;
    size_t          i;
    const json_t   *entry;

    json_array_foreach(json_object_get(manifest, "entries"), i, entry)
    {
        if (put_file(archive, store, entry, &err))
            continue;
        log_error("a download broke off", "request_id", text_of(manifest, "request_id"),
                  "storage_key", text_of(entry, "storage_key"), "error", err.message, NULL);
        _exit(err_is(&err, "58P01") ? ZIPPER_GONE
                                    : EXIT_INTERNAL); /* nothing that libarchive has is written */
    }
    put_readme(archive, manifest);
    if (archive_write_close(archive) != ARCHIVE_OK)
        abort();
    archive_write_free(archive);
    return EXIT_OK;
}

/* The server's list is a file in memory. */
static json_t *read_list(void)
{
    struct stat st;
    json_t     *list = NULL;
    char       *text;

    if (fstat(STDIN_FILENO, &st) < 0 || st.st_size <= 0)
        return NULL;
    text = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, STDIN_FILENO, 0);
    if (text == MAP_FAILED)
        return NULL;
    list = json_loadb(text, (size_t)st.st_size, 0, NULL);
    munmap(text, (size_t)st.st_size);
    return list;
}

int zipper_run(struct store *store)
{
    json_t *manifest = read_list();
    int     code;

    /* The server may have ended before the kernel knew what that means to us. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0
        || getppid() != (pid_t)json_integer_value(json_object_get(manifest, "server_pid"))) {
        json_decref(manifest);
        return EXIT_USAGE;
    }
    signal(SIGPIPE, SIG_DFL);
    code = put_all(store, manifest);
    json_decref(manifest);
    return code;
}
