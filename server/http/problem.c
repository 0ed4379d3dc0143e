/*
 * problem: what an error looks like from outside. The HTTP codes of C's own refusals (404 of a
 * path, 413, 415 …) have rows too, under SQLSTATEs beginning with H that no database sends, so that
 * there is one table and one form.
 */
#include "server/http/problem.h"

#include <jansson.h>
#include <string.h>

static const struct problem problems[] = {
    /* Said by SQL */
    { "KN001", 409, "state_conflict", "The thing is not in a state for this", true, 0 },
    { "KN002", 404, "not_found", "Not found", true, 0 },
    { "KN003", 422, "invalid_field", "A field is wrong", true, 0 },
    { "KN004", 403, "forbidden", "Not allowed", true, 0 },
    { "KN005", 409, "idempotency_conflict", "The idempotency key was used with another body", true,
      0 },
    { "KN006", 400, "malformed", "Malformed request", true, 0 },
    { "KN007", 429, "too_many_requests", "Too many requests", true, 1 },
    { "KN008", 403, "link_expired", "The link is forged or has expired", true, 0 },
    { "KN009", 401, "unauthorized", "Unauthorized", true, 0 },
    { "KN014", 409, "too_early", "It may still be answered", true, 0 },
    { "KN016", 409, "quota_exceeded", "There is no room left", true, 0 },
    { "KN015", 409, "already_created", "It was made already", true, 0 },
    { "KN017", 503, "unavailable", "Try again", false, 10 }, /* restored: an operator's affair */

    /* No row for SQLSTATEs of PostgreSQL's own (22, 23, 42 …): what a client sends is checked, and
     * refused with a KN code, before it reaches a cast or a constraint. One that comes all the same
     * is a fault of this side, or of what an operator wrote: 500, and the log has it. */

    /* A limit of the program was met: an array, a text or a nesting too large for any of its
     * statements */
    { "54", 422, "invalid_field", "A field is wrong", false, 0 },

    /* Later it may work: time-out, lock, conflict, resources, restart, link */
    { "57014", 503, "unavailable", "Try again", false, 2 },
    { "55P03", 503, "unavailable", "Try again", false, 1 },
    { "40001", 503, "unavailable", "Try again", false, 1 },
    { "40P01", 503, "unavailable", "Try again", false, 1 },
    { "53", 503, "unavailable", "Try again", false, 2 },
    { "57P0", 503, "unavailable", "Try again", false, 2 },
    { "08", 503, "unavailable", "Try again", false, 2 },
    { "58030", 503, "unavailable", "Try again", false,
      10 }, /* the store's disk: an operator mends it */

    /* Said by this server */
    { "HW001", 401, "webhook_signature_invalid", "The signature is missing or wrong", true, 0 },
    { "HW002", 401, "webhook_timestamp_old", "The time of the signature is too far from now", true,
      0 },
    { "HW003", 401, "webhook_key_unknown", "There is no key to check the signature with", true, 0 },
    { "HJ001", 503, "unavailable", "Try again", true, 2 }, /* the keys of a token's issuer */
    { "HR001", 503, "unavailable", "The database was restored from a backup", true,
      10 },                                                /* to /readyz */
    { "HT001", 503, "unavailable", "Try again", true, 5 }, /* a long read was cut: pools.c */
    { "HC001", 503, "unavailable", "Try again", true,
      0 }, /* its client has gone: nobody reads it */
    { "H0404", 404, "not_found", "Not found", true, 0 },
    { "H0405", 405, "method_not_allowed", "Method not allowed", true, 0 },
    { "H0408", 408, "timeout", "The request came too slowly", true, 0 },
    { "H0410", 410, "gone", "Gone", true, 0 }, /* a media row without its file */
    { "H0413", 413, "too_large", "The body is too large", true, 0 },
    { "H0415", 415, "unsupported_media_type", "Unsupported media type", true, 0 },
    { "H0426", 426, "upgrade_required", "An upgrade is needed", true, 0 },
    { "H0505", 505, "http_version", "HTTP/1.1 is needed", true, 0 },
};

static const struct problem internal = { "", 500, "internal", "Internal error", false, 0 };

const struct problem *problem_find(const struct err *err)
{
    for (size_t i = 0; i < countof(problems); i++)
        if (err_is(err, problems[i].sqlstate))
            return &problems[i];
    return &internal;
}

static json_t *load_detail(const struct err *err)
{
    return err->detail[0] ? json_loads(err->detail, 0, NULL) : NULL;
}

unsigned problem_retry_after(const struct problem *problem, const struct err *err)
{
    json_t *detail;
    double  seconds;

    if (!err_is(err, "KN007") && !err_is(err, "HJ001"))
        return problem->retry_after_seconds;
    detail  = load_detail(err);
    seconds = json_number_value(json_object_get(detail, "retry_after"));
    json_decref(detail);
    if (!(seconds > 0))
        return problem->retry_after_seconds;
    return seconds > 86400 ? 86400 : (unsigned)(seconds + 0.999);
}

static void write_field(struct jbuf *j, const char *field, const char *sentence)
{
    jbuf_array(j);
    jbuf_object(j);
    jbuf_key(j, "field");
    jbuf_str(j, field);
    jbuf_key(j, "message");
    jbuf_str(j, sentence);
    jbuf_end(j);
    jbuf_end(j);
}

bool problem_field(struct err *err, const char *field, const char *sentence)
{
    struct jbuf j = { 0 };

    if (!err)
        return false;
    write_field(&j, field, sentence);
    err_set(err, "KN003", "%s %s", field, sentence);
    if (j.len < sizeof(err->detail)) /* a name may be the client's, and too long to repeat */
        memcpy(err->detail, j.text, j.len + 1);
    jbuf_free(&j);
    return false;
}

/* Of a limit that was met only the whole body can be named. */
static void write_body_error(struct jbuf *j)
{
    jbuf_key(j, "errors");
    write_field(j, "", "is nested too deeply or holds too much");
}

/* DETAIL of KN003 goes out as it came, if it is the list it should be (a long one may have been
 * cut). */
static void write_fields(struct jbuf *j, const struct err *err)
{
    json_t *fields = load_detail(err);

    if (json_is_array(fields)) {
        jbuf_key(j, "errors");
        jbuf_raw(j, err->detail);
    }
    json_decref(fields);
}

static const char *sentence_of(const struct problem *problem, const struct err *err)
{
    if (problem->is_ours)
        return err->message;
    switch (problem->status) {
    case 422: return "The body is nested too deeply or holds too much.";
    case 503: return "The request could not be served just now; it is safe to try again.";
    default: return "Something went wrong on our side; the log has it under the request id.";
    }
}

void problem_json(struct jbuf *j, const struct problem *problem, const struct err *err,
                  const char *request_id)
{
    char type[80] = "urn:kiln:problem:";

    strncat(type, problem->code, sizeof(type) - strlen(type) - 1);
    jbuf_object(j);
    jbuf_key(j, "type");
    jbuf_str(j, type);
    jbuf_key(j, "title");
    jbuf_str(j, problem->title);
    jbuf_key(j, "status");
    jbuf_i64(j, problem->status);
    jbuf_key(j, "detail");
    jbuf_str(j, sentence_of(problem, err));
    jbuf_key(j, "code");
    jbuf_str(j, problem->code);
    jbuf_key(j, "request_id");
    jbuf_str(j, request_id);
    if (err_is(err, "KN003"))
        write_fields(j, err);
    else if (problem->status == 422)
        write_body_error(j);
    jbuf_end(j);
}
