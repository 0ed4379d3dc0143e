/*
 * tryon: a body with files, part by part into the store.
 */
#include "server/routes/tryon.h"

#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/failpoint.h"
#include "server/http/problem.h"
#include "server/http/rpc.h"
#include "lib/jscan.h"
#include "lib/log.h"
#include "server/routes/receiving.h"
#include "server/routes/sniff.h"
#include "lib/store.h"

#define FILES_MOST       12
#define JSON_BYTES_MOST  (32u << 20)
#define JSON_AT_ONCE     4
#define VALUE_BYTES_MOST (64u << 10)
#define DECODE_BYTES     (48u << 10)

struct tryon {
    struct server            *server;
    struct MHD_PostProcessor *form; /* NULL: JSON */
    char                     *text; /* JSON, or a field of the form */
    size_t                    text_bytes, text_size;
    char field[64]; /* of the form's part, or where the file stands in the JSON */
    bool is_file, is_json;

    json_t *body;  /* what SQL gets */
    json_t *files; /* what was found */

    struct receiving    *receiving;
    uint64_t             stored_bytes; /* of all its files */
    struct store_writer *writer;
    char                 content_type[64];
    unsigned char        head[SNIFF_BYTES];
    size_t               head_bytes;
    uint64_t             bytes;

    bool       has_failed;
    struct err err;
};

/* ---- refusing ---- */

static bool fail(struct tryon *tryon, const char *sqlstate, const char *sentence)
{
    tryon->has_failed = true;
    err_set(&tryon->err, sqlstate, "%s", sentence);
    return false;
}

static bool fail_field(struct tryon *tryon, const char *field, const char *sentence)
{
    tryon->has_failed = true;
    return problem_field(&tryon->err, field, sentence);
}

static void forget_files(struct tryon *tryon)
{
    json_t    *file;
    size_t     i;
    struct err ignored;

    json_array_foreach(tryon->files, i, file)
    {
        const char *key = json_string_value(json_object_get(file, "storage_key"));
        if (!store_unlink(tryon->server->store, key, &ignored))
            log_warn("a refused file stays", "storage_key", key, "error", ignored.message, NULL);
    }
    json_array_clear(tryon->files);
}

static void refuse(struct request *r)
{
    struct tryon *tryon = r->data;

    store_abandon(tryon->writer);
    tryon->writer = NULL;
    forget_files(tryon);
    receiving_close(tryon->receiving);
    tryon->receiving = NULL;
    request_problem(r, &tryon->err);
}

static void tryon_free(void *data)
{
    struct tryon *tryon = data;

    tryon->has_failed = true; /* what the form still holds is not looked at */
    if (tryon->form)
        MHD_destroy_post_processor(tryon->form);
    store_abandon(tryon->writer);
    tryon->server->json_bodies -= tryon->is_json;
    receiving_close(tryon->receiving);
    json_decref(tryon->body);
    json_decref(tryon->files);
    free(tryon->text);
    free(tryon);
}

/* ---- files ---- */

/* content_type "": what its first bytes say. */
static bool open_file(struct tryon *tryon, const char *content_type)
{
    if (json_array_size(tryon->files) >= FILES_MOST)
        return fail_field(tryon, "/medias", "must hold at most 12 files");
    if (store_is_remote(tryon->server->store))
        return fail_field(
            tryon, "/medias",
            "cannot be taken here: send each to POST /uploads/presign and name its id in media");
    if (!content_type
        || (content_type[0] && strncasecmp(content_type, "image/", 6) != 0
            && strncasecmp(content_type, "video/", 6) != 0)
        || strlen(content_type) >= sizeof(tryon->content_type)) {
        snprintf(tryon->field, sizeof(tryon->field), "/medias/%zu/mimetype",
                 json_array_size(tryon->files));
        return fail_field(tryon, tryon->field, "must be the type of a picture or a film");
    }
    snprintf(tryon->content_type, sizeof(tryon->content_type), "%s", content_type);
    tryon->head_bytes = 0;
    tryon->bytes      = 0;
    tryon->writer     = store_create(tryon->server->store, &tryon->err);
    tryon->has_failed = !tryon->writer;
    return tryon->writer;
}

static bool write_file(struct tryon *tryon, const void *data, size_t bytes)
{
    size_t more = SNIFF_BYTES - tryon->head_bytes;

    more = bytes < more ? bytes : more;
    if (more)
        memcpy(tryon->head + tryon->head_bytes, data, more);
    tryon->head_bytes += more;
    tryon->bytes += bytes;
    tryon->stored_bytes += bytes;
    if (tryon->stored_bytes > receiving_bytes(tryon->receiving))
        return fail(tryon, "KN016",
                    "There is no room for these files, or more of them came than were announced "
                    "by Content-Length.");
    if (tryon->bytes > (uint64_t)tryon->server->cfg->upload_max_bytes)
        return fail_field(tryon, tryon->field, "is larger than uploads may be");
    tryon->has_failed = !store_write(tryon->writer, data, bytes, &tryon->err);
    return !tryon->has_failed;
}

static bool close_file(struct tryon *tryon)
{
    struct store_writer *writer = tryon->writer;
    struct stored        stored;

    if (!tryon->content_type[0]) {
        const char *found = sniff_type(tryon->head, tryon->head_bytes);

        if (!found || (strncmp(found, "image/", 6) != 0 && strncmp(found, "video/", 6) != 0))
            return fail_field(tryon, tryon->field, "does not begin like a picture or a film");
    } else if (!sniff_agrees(tryon->content_type, tryon->head, tryon->head_bytes)) {
        return fail_field(tryon, tryon->field, "does not begin like its type");
    }
    tryon->writer = NULL;
    if (!store_commit(writer, &stored, &tryon->err)) {
        tryon->has_failed = true;
        return false;
    }
    FAILPOINT("server.upload.stored");
    json_array_append_new(tryon->files,
                          json_pack("{s:s, s:I, s:s, s:s}", "storage_key", stored.key, "bytes",
                                    (json_int_t)stored.bytes, "sha256", stored.sha256,
                                    "content_type", sniff_type(tryon->head, tryon->head_bytes)));
    return true;
}

/* ---- JSON ---- */

static bool append_text(struct tryon *tryon, const char *data, size_t bytes, size_t most)
{
    size_t need = tryon->text_bytes + bytes + 1;

    if (need > most + 1)
        return fail(tryon, "H0413",
                    tryon->form
                        ? "A field may have 64 KiB."
                        : "The body may have 32 MiB; larger files go as multipart/form-data.");
    if (need > tryon->text_size) {
        tryon->text_size = need > 2 * tryon->text_size ? need : 2 * tryon->text_size;
        tryon->text      = realloc(tryon->text, tryon->text_size);
        if (!tryon->text)
            abort();
    }
    memcpy(tryon->text + tryon->text_bytes, data, bytes);
    tryon->text_bytes += bytes;
    tryon->text[tryon->text_bytes] = '\0';
    return true;
}

static bool decode_file(struct tryon *tryon, const char *text, size_t bytes)
{
    EVP_ENCODE_CTX *ctx = EVP_ENCODE_CTX_new();
    unsigned char  *out = malloc(DECODE_BYTES);
    bool            ok  = true;
    int             n   = 0;

    if (!ctx || !out)
        abort();
    EVP_DecodeInit(ctx);
    for (size_t at = 0; ok && at < bytes; at += DECODE_BYTES) {
        size_t part = bytes - at < DECODE_BYTES ? bytes - at : DECODE_BYTES;

        if (EVP_DecodeUpdate(ctx, out, &n, (const unsigned char *)text + at, (int)part) < 0)
            ok = fail_field(tryon, tryon->field, "is not base64");
        else
            ok = write_file(tryon, out, (size_t)n);
    }
    if (ok && EVP_DecodeFinal(ctx, out, &n) != 1)
        ok = fail_field(tryon, tryon->field, "is not base64");
    EVP_ENCODE_CTX_free(ctx);
    free(out);
    return ok;
}

/* "data:image/png;base64,…" is what a browser's FileReader gives: base64 begins behind the
 * comma. */
static bool skip_address(struct tryon *tryon, const char **text, const char *type)
{
    static const char scheme[] = "data:", mark[] = ";base64,";
    const char       *from;
    size_t            bytes = type ? strlen(type) : 0;

    if (strncasecmp(*text, scheme, sizeof(scheme) - 1) != 0)
        return true;
    from = *text + sizeof(scheme) - 1;
    if (strncasecmp(from, type ? type : "", bytes) != 0
        || strncasecmp(from + bytes, mark, sizeof(mark) - 1) != 0)
        return fail_field(tryon, tryon->field, "is neither base64 nor a data: URL of its mimetype");
    *text = from + bytes + sizeof(mark) - 1;
    return true;
}

static bool read_media(struct tryon *tryon, size_t i, const json_t *media)
{
    const json_t *data = json_object_get(media, "data");
    const char   *type = json_string_value(json_object_get(media, "mimetype"));
    const char   *text = json_string_value(data);

    snprintf(tryon->field, sizeof(tryon->field), "/medias/%zu/data", i);
    if (!text || !text[0])
        return fail_field(tryon, tryon->field, "must be the bytes in base64");
    return skip_address(tryon, &text, type) && open_file(tryon, type && type[0] ? type : NULL)
           && decode_file(tryon, text, strlen(text)) && close_file(tryon);
}

static bool read_json(struct tryon *tryon)
{
    const char *text  = tryon->text_bytes ? tryon->text : "{}";
    size_t      bytes = tryon->text_bytes ? tryon->text_bytes : 2, i;
    json_t     *body, *medias, *media;

    tryon->has_failed = !jscan_check(text, bytes, &tryon->err);
    if (tryon->has_failed)
        return false;
    body = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(body)) {
        json_decref(body);
        return fail(tryon, "KN006", "The body must be a JSON object.");
    }
    json_decref(tryon->body);
    tryon->body = body;
    medias      = json_object_get(body, "medias");
    if (medias && (!json_is_array(medias) || json_array_size(medias) > FILES_MOST))
        return fail_field(tryon, "/medias", "must be an array of at most 12 files");
    json_array_foreach(medias, i, media)
    {
        if (!read_media(tryon, i, media))
            return false;
    }
    json_object_del(body, "medias");
    return true;
}

/* ---- multipart/form-data ---- */

/* As of a JSON body: the field is told by its pointer. Its name is the client's, and may hold
 * anything. */
static bool fail_form_field(struct tryon *tryon)
{
    char *field;

    if (asprintf(&field, "/%s", tryon->field) < 0)
        abort();
    fail_field(tryon, field, "must not hold the character U+0000");
    free(field);
    return false;
}

/* `media` may come several times, and holds ids; everything else is a word of the body. */
static bool close_value(struct tryon *tryon)
{
    size_t  bytes = tryon->text_bytes;
    json_t *value = json_stringn(tryon->text ? tryon->text : "", bytes);

    tryon->text_bytes = 0;
    if (tryon->text && memchr(tryon->text, '\0', bytes)) {
        json_decref(value);
        return fail_form_field(tryon);
    }
    if (!value)
        return fail(tryon, "KN006", "A field of the form is not UTF-8.");
    if (strcmp(tryon->field, "media") == 0) {
        if (!json_object_get(tryon->body, "media"))
            json_object_set_new(tryon->body, "media", json_array());
        json_array_append_new(json_object_get(tryon->body, "media"), value);
        return true;
    }
    if (json_object_set_new(tryon->body, tryon->field, value) == 0)
        return true;
    return fail(tryon, "KN006", "The name of a field of the form is not UTF-8.");
}

static bool close_part(struct tryon *tryon)
{
    if (tryon->writer)
        return close_file(tryon);
    return tryon->is_file || !tryon->field[0] || close_value(tryon);
}

static bool open_part(struct tryon *tryon, const char *key, const char *filename, const char *type)
{
    if (!close_part(tryon))
        return false;
    tryon->is_file = filename != NULL;
    if (tryon->is_file) {
        snprintf(tryon->field, sizeof(tryon->field), "/medias/%zu/data",
                 json_array_size(tryon->files));
        /* So curl and others call a file whose ending they do not know. */
        if (!type || strcasecmp(type, "application/octet-stream") == 0)
            type = "";
        return open_file(tryon, type);
    }
    if (!key || !key[0] || strlen(key) >= sizeof(tryon->field))
        return fail(tryon, "KN006", "A field of the form has no name, or too long a one.");
    snprintf(tryon->field, sizeof(tryon->field), "%s", key);
    return true;
}

static enum MHD_Result on_part(void *cls, enum MHD_ValueKind kind, const char *key,
                               const char *filename, const char *content_type,
                               const char *transfer_encoding, const char *data, uint64_t off,
                               size_t size)
{
    struct tryon *tryon = cls;
    bool          ok    = !tryon->has_failed;

    (void)kind;
    (void)transfer_encoding;
    if (ok && off == 0)
        ok = open_part(tryon, key, filename, content_type);
    if (ok && size)
        ok = tryon->is_file ? write_file(tryon, data, size)
                            : append_text(tryon, data, size, VALUE_BYTES_MOST);
    return ok ? MHD_YES : MHD_NO;
}

static bool read_form(struct tryon *tryon)
{
    enum MHD_Result whole = MHD_destroy_post_processor(tryon->form);

    tryon->form = NULL;
    if (tryon->has_failed)
        return false;
    if (whole != MHD_YES)
        return fail(tryon, "KN006", "The form ends in the middle of a part.");
    return close_part(tryon);
}

/* ---- the request ---- */

static bool has_type(struct request *r, const char *type)
{
    const char *given = request_header(r, "Content-Type");
    size_t      bytes = strlen(type);

    return given && strncasecmp(given, type, bytes) == 0 && strchr("; \t", given[bytes]);
}

static void on_lost(struct request *r, const struct err *err)
{
    struct tryon *tryon = r->data;

    if (r->answer || r->phase != REQUEST_BODY)
        return;
    tryon->has_failed = true;
    tryon->err        = *err;
    refuse(r);
}

static void start(struct request *r, const PGresult *result)
{
    struct tryon *tryon  = calloc(1, sizeof(*tryon));
    json_t       *answer = json_loads(PQgetvalue(result, 0, 0), 0, NULL);

    if (!tryon)
        abort();
    tryon->server  = r->server;
    tryon->body    = json_object();
    tryon->files   = json_array();
    tryon->is_json = !has_type(r, "multipart/form-data");
    r->server->json_bodies += tryon->is_json;
    r->data          = tryon;
    r->data_free     = tryon_free;
    tryon->receiving = receiving_open(r, answer, on_lost);
    json_decref(answer);
    if (tryon->is_json)
        return;
    tryon->form = MHD_create_post_processor(r->conn, 16384, on_part, tryon);
    if (!tryon->form) {
        fail(tryon, "KN006", "The form's Content-Type names no boundary.");
        refuse(r);
    }
}

/* The answer to begin_tryon: from here on the body is let in. */
static void on_begin_reply(void *ctx, PGresult *result, const struct err *err)
{
    struct request *r = ctx;

    FAILPOINT("server.upload.begun");
    if (err)
        request_problem(r, err);
    else
        start(r, result);
    PQclear(result);
    if (!r->answer)
        request_resume(r);
}

/* Where nothing is announced, as much as JSON may have: files of such a body are cut there. */
static const char *announcement(struct request *r)
{
    const char *length = request_header(r, "Content-Length");
    uint64_t    bytes  = length ? strtoull(length, NULL, 10) : JSON_BYTES_MOST;

    return arena_printf(r->arena, "{\"bytes\":%llu}",
                        (unsigned long long)(bytes > INT64_MAX ? INT64_MAX : bytes));
}

static void begin(struct request *r)
{
    const char *length = request_header(r, "Content-Length");
    struct err  err;

    if (has_type(r, "application/json") && length && strtoull(length, NULL, 10) > JSON_BYTES_MOST)
        err_set(&err, "H0413", "The body may have 32 MiB; larger files go as multipart/form-data.");
    else if (!has_type(r, "application/json") && !has_type(r, "multipart/form-data"))
        err_set(&err, "H0415", "The body must be application/json or multipart/form-data.");
    else if (has_type(r, "application/json") && r->server->json_bodies >= JSON_AT_ONCE)
        err_set(&err, "53300", "too many bodies with files are being read");
    else if (rpc_send(r, STATEMENT_BEGIN_TRYON, POOL_WRITE, announcement(r), on_begin_reply,
                      &err)) {
        request_suspend(r);
        return;
    }
    request_problem(r, &err);
}

static void on_data(struct request *r, const char *data, size_t bytes)
{
    struct tryon *tryon = r->data;

    if (tryon->form) {
        if (MHD_post_process(tryon->form, data, bytes) != MHD_YES && !tryon->has_failed)
            fail(tryon, "KN006", "The body is no form.");
    } else {
        (void)append_text(tryon, data, bytes, JSON_BYTES_MOST);
    }
    if (tryon->has_failed)
        refuse(r);
}

/* What SQL refused has no owner; where the link was lost its rows may be there, and the sweep
 * decides. */
static void on_create_reply(void *ctx, PGresult *result, const struct err *err)
{
    struct request *r = ctx;

    FAILPOINT("server.upload.recorded");
    if (!err)
        receiving_done(((struct tryon *)r->data)->receiving);
    if (err && !err_is(err, "08"))
        forget_files(r->data);
    rpc_answer(r, result, err);
}

static void finish(struct request *r)
{
    struct tryon *tryon = r->data;
    json_t       *whole;
    char         *text;

    if (tryon->form ? !read_form(tryon) : !read_json(tryon)) {
        refuse(r);
        return;
    }
    whole = json_pack("{s:s, s:O, s:O}", "upload_session", receiving_token(tryon->receiving),
                      "body", tryon->body, "files", tryon->files);
    text  = json_dumps(whole, JSON_COMPACT);
    json_decref(whole);
    if (!text)
        abort();
    rpc_route_then(r, arena_strdup(r->arena, text), on_create_reply);
    free(text);
}

const struct handler tryon_create = { .begin = begin, .on_data = on_data, .finish = finish };
