/*
 * zip: libarchive pushes, libmicrohttpd pulls; a buffer of what was pushed and not yet pulled lies between them.
 */
#include "zip.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "http.h"
#include "log.h"
#include "store.h"

#define PIECE_BYTES 65536
#define ADDRESS_S   86400

struct zip {
    struct store   *store;
    struct archive *archive;
    json_t         *manifest;
    size_t          at; /* the entry in hand */
    int             fd; /* its file; -1: none */
    uint64_t        left;
    FILE           *notes; /* what the README says at its end */
    char           *notes_text;
    size_t          notes_bytes;
    bool            has_missing, is_done;

    char  *out; /* pushed and not yet pulled */
    size_t out_at, out_bytes, out_size;
    char   request_id[65];
};

/* ---- out ---- */

static la_ssize_t on_push(struct archive *archive, void *ctx, const void *bytes, size_t count)
{
    struct zip *zip = ctx;

    (void)archive;
    if (zip->out_bytes + count > zip->out_size) {
        zip->out_size = 2 * (zip->out_bytes + count);
        zip->out      = realloc(zip->out, zip->out_size);
        if (!zip->out)
            abort();
    }
    memcpy(zip->out + zip->out_bytes, bytes, count);
    zip->out_bytes += count;
    return (la_ssize_t)count;
}

static void begin_entry(struct zip *zip, const char *name, uint64_t bytes, time_t at)
{
    struct archive_entry *entry = archive_entry_new();

    if (!entry)
        abort();
    archive_entry_set_pathname(entry, name);
    archive_entry_set_size(entry, (la_int64_t)bytes);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_mtime(entry, at, 0);
    if (archive_write_header(zip->archive, entry) < ARCHIVE_WARN)
        abort(); /* only for want of memory: the names and sizes are our own */
    archive_entry_free(entry);
}

/* ---- the files ---- */

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text ? text : "";
}

static void note(struct zip *zip, const char *title, const char *name, const char *more)
{
    if (!zip->has_missing)
        fprintf(zip->notes, "\n%s\n", title);
    zip->has_missing = true;
    fprintf(zip->notes, "%s%s%s\n", name, *more ? "\n    " : "", more);
}

static void next_file(struct zip *zip, const json_t *entry)
{
    const char *name = text_of(entry, "name"), *key = text_of(entry, "storage_key");
    struct err  err;

    if (store_is_remote(zip->store)) {
        char *url =
            store_presign_get(zip->store, "GET", key, text_of(entry, "content_type"), ADDRESS_S);

        note(zip, "The files themselves are not in this ZIP. For a day they are here:", name,
             url ? url : "");
        free(url);
        zip->at++;
        return;
    }
    zip->fd = store_read(zip->store, key, &zip->left, &err);
    if (zip->fd >= 0) {
        begin_entry(zip, name, zip->left, (time_t)json_integer_value(json_object_get(entry, "at")));
        return;
    }
    log_error("a file of a download is missing", "request_id", zip->request_id, "storage_key", key,
              "error", err.message, NULL);
    note(zip, "These files are missing from this ZIP, since they could not be read:", name, "");
    zip->at++;
}

/* One piece, or the end of the file. What it lacks (the disk failed in the middle) becomes zeros, and is told: the ZIP stays whole. */
static void next_piece(struct zip *zip, const json_t *entry)
{
    char    piece[PIECE_BYTES];
    size_t  want = zip->left < sizeof(piece) ? (size_t)zip->left : sizeof(piece);
    ssize_t got;

    do
        got = want > 0 ? read(zip->fd, piece, want) : 0;
    while (got < 0 && errno == EINTR);
    if (got <= 0 && want > 0) {
        note(zip, "These files are missing from this ZIP, since they could not be read:",
             text_of(entry, "name"), "damaged: it ends in zeros");
        close(zip->fd);
        zip->fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
        if (zip->fd < 0)
            abort();
        return;
    }
    if (got > 0 && archive_write_data(zip->archive, piece, (size_t)got) < 0)
        abort();
    zip->left -= (uint64_t)got;
    if (zip->left == 0) {
        close(zip->fd);
        zip->fd = -1;
        zip->at++;
    }
}

static void finish(struct zip *zip)
{
    const char *readme = text_of(zip->manifest, "readme");
    char        name[160];
    size_t      bytes = strlen(readme);

    if (fflush(zip->notes) != 0)
        abort();
    snprintf(name, sizeof(name), "%.120s/README.txt", text_of(zip->manifest, "folder"));
    begin_entry(zip, name, bytes + zip->notes_bytes, time(NULL));
    if (archive_write_data(zip->archive, readme, bytes) < 0
        || archive_write_data(zip->archive, zip->notes_text, zip->notes_bytes) < 0
        || archive_write_close(zip->archive) != ARCHIVE_OK)
        abort();
    zip->is_done = true;
}

static void step(struct zip *zip)
{
    const json_t *entries = json_object_get(zip->manifest, "entries");

    if (zip->at >= json_array_size(entries))
        finish(zip);
    else if (zip->fd < 0)
        next_file(zip, json_array_get(entries, zip->at));
    else
        next_piece(zip, json_array_get(entries, zip->at));
}

/* ---- in and out of libmicrohttpd ---- */

static ssize_t on_pull(void *ctx, uint64_t position, char *to, size_t most)
{
    struct zip *zip = ctx;
    size_t      bytes;

    (void)position;
    while (zip->out_at == zip->out_bytes) {
        if (zip->is_done)
            return MHD_CONTENT_READER_END_OF_STREAM;
        zip->out_at = zip->out_bytes = 0;
        step(zip);
    }
    bytes = zip->out_bytes - zip->out_at < most ? zip->out_bytes - zip->out_at : most;
    memcpy(to, zip->out + zip->out_at, bytes);
    zip->out_at += bytes;
    return (ssize_t)bytes;
}

static void zip_free(void *ctx)
{
    struct zip *zip = ctx;

    if (zip->fd >= 0)
        close(zip->fd);
    archive_write_free(zip->archive);
    fclose(zip->notes);
    free(zip->notes_text);
    free(zip->out);
    json_decref(zip->manifest);
    free(zip);
}

static struct zip *zip_new(struct store *store, const char *request_id, json_t *manifest)
{
    struct zip *zip = calloc(1, sizeof(*zip));

    if (!zip)
        abort();
    zip->store    = store;
    zip->manifest = manifest;
    zip->fd       = -1;
    zip->notes    = open_memstream(&zip->notes_text, &zip->notes_bytes);
    zip->archive  = archive_write_new();
    snprintf(zip->request_id, sizeof(zip->request_id), "%s", request_id);
    if (!zip->notes || !zip->archive || archive_write_set_format_zip(zip->archive) != ARCHIVE_OK
        || archive_write_set_options(zip->archive, "compression=store") != ARCHIVE_OK
        || archive_write_set_bytes_per_block(zip->archive, 0) != ARCHIVE_OK
        || archive_write_open(zip->archive, zip, NULL, on_push, NULL) != ARCHIVE_OK)
        abort();
    return zip;
}

static void on_download_reply(void *ctx, PGresult *result, const struct err *err)
{
    struct request      *r        = ctx;
    json_t              *manifest = err ? NULL : json_loads(PQgetvalue(result, 0, 0), 0, NULL);
    struct err           own;
    struct MHD_Response *response;

    if (err) {
        request_problem(r, err);
    } else if (!json_is_array(json_object_get(manifest, "entries"))) {
        json_decref(manifest);
        err_set(&own, "XX000", "SQL gave nothing to pack");
        request_problem(r, &own);
    } else {
        response =
            MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, PIECE_BYTES, on_pull,
                                              zip_new(r->server->store, r->id, manifest), zip_free);
        if (!response)
            abort();
        /* To HEAD MHD (0.9.75) would send the last chunk of a body that is none, and spoil the connection. */
        if (strcmp(r->method, "HEAD") == 0
            && MHD_set_response_options(response, MHD_RF_HTTP_VERSION_1_0_ONLY, MHD_RO_END)
                   != MHD_YES)
            abort();
        MHD_add_response_header(response, "Content-Type", "application/zip");
        MHD_add_response_header(response, "Content-Disposition",
                                arena_printf(r->arena, "attachment; filename=\"%.120s.zip\"",
                                             text_of(manifest, "folder")));
        MHD_add_response_header(response, "Cache-Control", "no-store");
        MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
        request_answer(r, 200, response);
    }
    PQclear(result);
}

static void download_finish(struct request *r)
{
    struct err err;

    if (call_request(r, (size_t)(r->route - routes), r->route->pool, NULL, on_download_reply, &err))
        request_suspend(r);
    else
        request_problem(r, &err);
}

const struct handler zip_project = { .finish = download_finish };
