/*
 * media: uploads into the store and files out of it.
 */
#include "server/routes/media.h"

#include <inttypes.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "lib/failpoint.h"
#include "server/http/problem.h"
#include "server/http/rpc.h"
#include "lib/jbuf.h"
#include "lib/log.h"
#include "server/http/range.h"
#include "server/routes/receiving.h"
#include "server/routes/sniff.h"
#include "lib/store.h"

/* What open_media and begin_upload say of a file. */
struct facts {
    char     key[STORE_KEY_CHARS + 1];
    char     content_type[128];
    char     sha256[65];
    char     md5[32]; /* base64, as in Content-MD5; empty: not said */
    uint64_t bytes;
};

static void copy_string(const json_t *json, const char *name, char *to, size_t size)
{
    const char *text = json_string_value(json_object_get(json, name));

    snprintf(to, size, "%s", text ? text : "");
}

static bool read_facts(const PGresult *result, struct facts *facts, struct err *err)
{
    const char *text = PQntuples(result) == 1 ? PQgetvalue(result, 0, 0) : "";
    json_t     *json = json_loads(text, 0, NULL);

    copy_string(json, "storage_key", facts->key, sizeof(facts->key));
    copy_string(json, "content_type", facts->content_type, sizeof(facts->content_type));
    copy_string(json, "sha256", facts->sha256, sizeof(facts->sha256));
    copy_string(json, "md5", facts->md5, sizeof(facts->md5));
    facts->bytes = (uint64_t)json_integer_value(json_object_get(json, "bytes"));
    json_decref(json);
    if (facts->content_type[0])
        return true;
    err_set(err, "XX000", "SQL gave no facts of a file");
    return false;
}

static void fail(struct request *r, const char *sqlstate, const char *sentence)
{
    struct err err;

    err_set(&err, sqlstate, "%s", sentence);
    request_problem(r, &err);
}

/* ---- POST /uploads/presign ---- */

/* What SQL says of the place, with the way to it: signed here, since the keys of the bucket are no
 * matter of the database. */
static char *direct_answer(struct store *store, const json_t *place)
{
    const json_t *headers = json_object_get(place, "headers");
    char         *url =
        store_presign_put(store, json_string_value(json_object_get(place, "storage_key")),
                          json_string_value(json_object_get(headers, "Content-Type")),
                          json_string_value(json_object_get(headers, "Content-MD5")),
                          (uint64_t)json_integer_value(json_object_get(place, "bytes")),
                          (unsigned)json_integer_value(json_object_get(place, "expires_s")));
    json_t *answer = json_pack(
        "{s:O, s:s, s:s, s:O, s:O}", "media_id", json_object_get(place, "media_id"), "method",
        "PUT", "url", url, "headers", headers, "expires_at", json_object_get(place, "expires_at"));
    char *text = answer ? json_dumps(answer, JSON_COMPACT) : NULL;

    json_decref(answer);
    free(url);
    return text;
}

static void on_direct_reply(void *ctx, PGresult *result, const struct err *err)
{
    struct request      *r     = ctx;
    json_t              *place = err ? NULL : json_loads(PQgetvalue(result, 0, 0), 0, NULL);
    char                *text  = place ? direct_answer(r->server->store, place) : NULL;
    struct MHD_Response *response;

    FAILPOINT("server.upload.signed");
    if (err) {
        request_problem(r, err);
    } else if (!text) {
        fail(r, "XX000", "SQL gave no place for the upload");
    } else {
        response = MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
        MHD_add_response_header(response, "Content-Type", "application/json");
        MHD_add_response_header(response, "Cache-Control", "no-store");
        request_answer(r, r->route->status, response);
    }
    json_decref(place);
    PQclear(result);
}

static void presign_finish(struct request *r)
{
    struct err err;

    if (!store_is_remote(r->server->store))
        rpc_route(r, r->body);
    else if (rpc_send(r, STATEMENT_DIRECT_UPLOAD, POOL_WRITE, r->body, on_direct_reply, &err))
        request_suspend(r);
    else
        request_problem(r, &err);
}

const struct handler media_presign = { .finish = presign_finish };

/* ---- PUT ---- */

struct upload {
    struct facts         facts;
    struct receiving    *receiving;
    struct store_writer *writer;
    EVP_MD_CTX          *md5; /* NULL: nothing to compare with */
    unsigned char        head[SNIFF_BYTES];
    size_t               head_bytes;
    uint64_t             bytes;
    struct stored        stored;
};

static void upload_free(void *data)
{
    struct upload *upload = data;

    store_abandon(upload->writer); /* NULL once it was committed */
    receiving_close(upload->receiving);
    EVP_MD_CTX_free(upload->md5);
    free(upload);
}

static void fail_upload(struct request *r, const struct err *err)
{
    struct upload *upload = r->data;

    if (upload) {
        store_abandon(upload->writer);
        receiving_close(upload->receiving);
        upload->writer    = NULL;
        upload->receiving = NULL;
    }
    request_problem(r, err);
}

static bool type_agrees(struct request *r, const struct facts *facts)
{
    const char *given = request_header(r, "Content-Type");
    size_t      bytes = strlen(facts->content_type);

    return !given
           || (strncasecmp(given, facts->content_type, bytes) == 0 && strchr("; \t", given[bytes]));
}

/* The rest of the body is thrown away, and then the client is told. */
static void on_lost(struct request *r, const struct err *err)
{
    if (!r->answer && r->phase == REQUEST_BODY)
        fail_upload(r, err);
}

static void start_upload(struct request *r, const struct facts *facts, const PGresult *result)
{
    struct upload *upload = calloc(1, sizeof(*upload));
    json_t        *answer;
    struct err     err;

    if (!upload)
        abort();
    upload->facts     = *facts;
    r->data           = upload;
    r->data_free      = upload_free;
    answer            = json_loads(PQgetvalue(result, 0, 0), 0, NULL);
    upload->receiving = receiving_open(r, answer, on_lost);
    json_decref(answer);
    if (!type_agrees(r, facts)) {
        err_set(&err, "H0415", "The Content-Type is not the one the URL was signed for.");
        fail_upload(r, &err);
        return;
    }
    if (facts->md5[0]) {
        upload->md5 = EVP_MD_CTX_new();
        if (!upload->md5 || EVP_DigestInit_ex(upload->md5, EVP_md5(), NULL) != 1)
            abort();
    }
    upload->writer = store_create(r->server->store, &err);
    if (!upload->writer)
        fail_upload(r, &err);
}

/* The answer to begin_upload: from here on the body is let in. */
static void on_begin_reply(void *ctx, PGresult *result, const struct err *err)
{
    struct request *r     = ctx;
    struct facts    facts = { 0 };
    struct err      own;

    FAILPOINT("server.upload.begun");
    if (err || !read_facts(result, &facts, &own))
        request_problem(r, err ? err : &own);
    else
        start_upload(r, &facts, result);
    PQclear(result);
    if (!r->answer)
        request_resume(r);
}

static void put_begin(struct request *r)
{
    const char *length = request_header(r, "Content-Length");
    struct err  err;

    if (length && strtoull(length, NULL, 10) > (uint64_t)r->server->cfg->upload_max_bytes)
        fail(r, "H0413", "The file is larger than uploads may be.");
    else if (rpc_send(r, STATEMENT_BEGIN_UPLOAD, POOL_WRITE, NULL, on_begin_reply, &err))
        request_suspend(r);
    else
        request_problem(r, &err);
}

/* Looked at as soon as there is enough, so that a wrong file is refused before the disk has all of
 * it. */
static bool head_agrees(struct upload *upload, const char *data, size_t bytes, bool is_end)
{
    size_t more = SNIFF_BYTES - upload->head_bytes;

    if (more == 0)
        return true;
    more = bytes < more ? bytes : more;
    if (more)
        memcpy(upload->head + upload->head_bytes, data, more);
    upload->head_bytes += more;
    if (upload->head_bytes < SNIFF_BYTES && !is_end)
        return true;
    return sniff_agrees(upload->facts.content_type, upload->head, upload->head_bytes);
}

static void put_on_data(struct request *r, const char *data, size_t bytes)
{
    struct upload *upload = r->data;
    struct err     err;

    upload->bytes += bytes;
    if (upload->bytes > (uint64_t)r->server->cfg->upload_max_bytes)
        err_set(&err, "H0413", "The file is larger than uploads may be.");
    else if (upload->facts.bytes && upload->bytes > upload->facts.bytes)
        problem_field(&err, "/bytes", "is less than the file has");
    else if (!head_agrees(upload, data, bytes, false))
        err_set(&err, "H0415", "The file does not begin like %s.", upload->facts.content_type);
    else if (store_write(upload->writer, data, bytes, &err)
             && (!upload->md5 || EVP_DigestUpdate(upload->md5, data, bytes) == 1))
        return;
    fail_upload(r, &err);
}

/* A file whose row was refused has no owner; where the link was lost its row may be there, and the
 * sweep decides. */
static void on_finish_reply(void *ctx, PGresult *result, const struct err *err)
{
    struct request *r      = ctx;
    struct upload  *upload = r->data;
    struct err      ignored;

    FAILPOINT("server.upload.recorded");
    if (!err)
        receiving_done(upload->receiving);
    if (err && !err_is(err, "08") && !store_unlink(r->server->store, upload->stored.key, &ignored))
        log_warn("a refused upload stays", "request_id", r->id, "error", ignored.message, NULL);
    rpc_answer(r, result, err);
}

static const char *finish_body(struct request *r, const struct upload *upload)
{
    struct jbuf j = { 0 };
    const char *text;

    jbuf_object(&j);
    jbuf_key(&j, "upload_session");
    jbuf_str(&j, receiving_token(upload->receiving));
    jbuf_key(&j, "storage_key");
    jbuf_str(&j, upload->stored.key);
    jbuf_key(&j, "bytes");
    jbuf_i64(&j, (int64_t)upload->stored.bytes);
    jbuf_key(&j, "sha256");
    jbuf_str(&j, upload->stored.sha256);
    jbuf_key(&j, "content_type");
    jbuf_str(&j, upload->facts.content_type);
    jbuf_end(&j);
    text = arena_strdup(r->arena, jbuf_text(&j));
    jbuf_free(&j);
    return text;
}

/* The sender said what the MD5 would be: bytes that were damaged on their way are not taken. */
static bool md5_agrees(const struct upload *upload)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int  bytes = 0;
    unsigned char text[64];

    if (!upload->md5)
        return true;
    if (EVP_DigestFinal_ex(upload->md5, digest, &bytes) != 1)
        return false;
    EVP_EncodeBlock(text, digest, (int)bytes);
    return strcmp((const char *)text, upload->facts.md5) == 0;
}

static void put_finish(struct request *r)
{
    struct upload       *upload = r->data;
    struct store_writer *writer = upload->writer;
    struct err           err;

    if (upload->facts.bytes && upload->bytes != upload->facts.bytes) {
        problem_field(&err, "/bytes", "is more than the file has");
        fail_upload(r, &err);
        return;
    }
    if (!head_agrees(upload, NULL, 0, true)) {
        err_set(&err, "H0415", "The file does not begin like %s.", upload->facts.content_type);
        fail_upload(r, &err);
        return;
    }
    if (!md5_agrees(upload)) {
        problem_field(&err, "/md5", "is not that of the bytes that came");
        fail_upload(r, &err);
        return;
    }
    upload->writer = NULL;
    if (!store_commit(writer, &upload->stored, &err)) {
        request_problem(r, &err);
        return;
    }
    FAILPOINT("server.upload.stored");
    rpc_route_then(r, finish_body(r, upload), on_finish_reply);
}

const struct handler media_put = { .begin   = put_begin,
                                   .on_data = put_on_data,
                                   .finish  = put_finish };

/* ---- GET, HEAD ---- */

static void add_file_headers(struct MHD_Response *response, const struct facts *facts,
                             const char *etag)
{
    MHD_add_response_header(response, "Content-Type", facts->content_type);
    MHD_add_response_header(response, "Accept-Ranges", "bytes");
    MHD_add_response_header(response, "ETag", etag);
    /* The bytes of one id never change; the right to see them does, hence private. */
    MHD_add_response_header(response, "Cache-Control", "private, max-age=31536000, immutable");
    /* A file somebody sent in must not act as a page of this site. */
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(response, "Content-Security-Policy", "default-src 'none'; sandbox");
}

static void send_unsatisfiable(struct request *r, uint64_t size)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    char text[64];

    snprintf(text, sizeof(text), "bytes */%" PRIu64, size);
    MHD_add_response_header(response, "Content-Range", text);
    request_answer(r, 416, response);
}

/* If-Range: a range is only good for the file the client has begun; dates we do not give, so none
 * matches. */
static enum range_kind wanted_range(struct request *r, const char *etag, uint64_t size,
                                    uint64_t *first, uint64_t *last)
{
    const char *condition = request_header(r, "If-Range");

    if (condition && strcmp(condition, etag) != 0)
        return RANGE_WHOLE;
    return range_parse(request_header(r, "Range"), size, first, last);
}

static void send_file(struct request *r, const struct facts *facts, int fd, uint64_t size,
                      const char *etag)
{
    uint64_t             first = 0, last = 0;
    enum range_kind      kind  = wanted_range(r, etag, size, &first, &last);
    uint64_t             bytes = kind == RANGE_PART ? last - first + 1 : size;
    struct MHD_Response *response;
    char                 text[96];

    if (kind == RANGE_UNSATISFIABLE) {
        close(fd);
        send_unsatisfiable(r, size);
        return;
    }
    response = MHD_create_response_from_fd_at_offset64(bytes, fd, first); /* sendfile; closes fd */
    if (!response)
        abort();
    add_file_headers(response, facts, etag);
    if (kind == RANGE_PART) {
        snprintf(text, sizeof(text), "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, first, last, size);
        MHD_add_response_header(response, "Content-Range", text);
    }
    request_answer(r, kind == RANGE_PART ? 206 : 200, response);
}

static void send_not_modified(struct request *r, const struct facts *facts, const char *etag)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);

    add_file_headers(response, facts, etag);
    request_answer(r, 304, response);
}

#define DIRECT_S 3600 /* how long a link to the bucket lives at least */

/* The bucket answers ranges and conditions itself. The way there may be kept half as long as it
 * leads somewhere. */
static void redirect(struct request *r, const struct facts *facts)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    char *url =
        store_presign_get(r->server->store, r->method, facts->key, facts->content_type, DIRECT_S);

    MHD_add_response_header(response, "Location", url);
    MHD_add_response_header(response, "Cache-Control", "private, max-age=1800");
    free(url);
    request_answer(r, 307, response);
}

static void open_file(struct request *r, const struct facts *facts)
{
    char       etag[68];
    uint64_t   size;
    struct err err;
    int        fd;

    snprintf(etag, sizeof(etag), "\"%.64s\"", facts->sha256);
    if (store_is_remote(r->server->store)) {
        redirect(r, facts);
        return;
    }
    if (range_etag_matches(request_header(r, "If-None-Match"), etag)) {
        send_not_modified(r, facts, etag);
        return;
    }
    fd = store_read(r->server->store, facts->key, &size, &err);
    if (fd >= 0) {
        send_file(r, facts, fd, size, etag);
    } else if (err_is(&err, "58P01")) {
        log_error("a media file is missing", "request_id", r->id, "path", r->path, "storage_key",
                  facts->key, NULL);
        fail(r, "H0410", "The file is gone.");
    } else {
        request_problem(r, &err);
    }
}

static void on_open_reply(void *ctx, PGresult *result, const struct err *err)
{
    struct request *r     = ctx;
    struct facts    facts = { 0 };
    struct err      own;

    if (err || !read_facts(result, &facts, &own))
        request_problem(r, err ? err : &own);
    else
        open_file(r, &facts);
    PQclear(result);
}

static void get_finish(struct request *r)
{
    rpc_route_then(r, NULL, on_open_reply);
}

const struct handler media_get = { .finish = get_finish };
