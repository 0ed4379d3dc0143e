/*
 * act_as: the members of the context, in one order.
 */
#include "server/auth/act_as.h"

#include <inttypes.h>
#include <stdio.h>

#include "lib/jbuf.h"

static const char *copy(struct arena *arena, const char *text)
{
    return text ? arena_strdup(arena, text) : NULL;
}

const struct identity *identity_copy(struct arena *arena, const struct identity *identity)
{
    struct identity *it = arena_alloc(arena, sizeof(*it));

    *it        = *identity;
    it->sub    = copy(arena, identity->sub);
    it->iss    = copy(arena, identity->iss);
    it->scope  = copy(arena, identity->scope);
    it->role   = copy(arena, identity->role);
    it->key    = copy(arena, identity->key);
    it->ticket = copy(arena, identity->ticket);
    return it;
}

static void put(struct jbuf *j, const char *name, const char *text)
{
    if (!text)
        return;
    jbuf_key(j, name);
    jbuf_str(j, text);
}

/* Seconds, with all six digits that SQL compares. */
static void put_issued(struct jbuf *j, int64_t issued_us)
{
    char text[32];

    snprintf(text, sizeof(text), "%" PRId64 ".%06d", issued_us / 1000000,
             (int)(issued_us % 1000000));
    jbuf_key(j, "iat");
    jbuf_raw(j, text);
}

static void put_identity(struct jbuf *j, const struct identity *identity)
{
    put(j, "key", identity->key);
    put(j, "ticket", identity->ticket);
    put(j, "sub", identity->sub);
    if (identity->sub) {
        jbuf_key(j, "iss");
        jbuf_str(j, identity->iss);
    }
    if (identity->has_issued)
        put_issued(j, identity->issued_us);
    put(j, "scope", identity->scope);
    put(j, "role", identity->role);
}

char *act_as_json(const struct act_as *act_as)
{
    struct jbuf j = { 0 };

    jbuf_object(&j);
    if (act_as->identity)
        put_identity(&j, act_as->identity);
    put(&j, "function", act_as->function);
    if (act_as->writes) {
        jbuf_key(&j, "writes");
        jbuf_bool(&j, true);
    }
    put(&j, "idempotency_key", act_as->idempotency_key);
    put(&j, "request_id", act_as->request_id);
    jbuf_end(&j);
    return jbuf_take(&j);
}
