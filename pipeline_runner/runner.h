/*
 * runner: what the parts of kiln-runner share: the statements, the settings, the links.
 *
 * Ownership: main.c makes and ends everything in here; the other parts use it.
 */
#ifndef RUNNER_RUNNER_H
#define RUNNER_RUNNER_H

#include "base.h"
#include "cfg.h"
#include "db.h"
#include "loop.h"
#include "store.h"

struct dispatch;
struct beat;
struct transfers;
struct polls;
struct deliver;
struct secrets;
struct keys;
struct housekeeping;
struct sandbox;

/* Places in runner_statements; both links prepare all of them, so that either can stand in for the
 * other's beats. */
enum statement {
    ST_REGISTER,
    ST_CYCLE,
    ST_COMPLETE,
    ST_PROGRESS,
    ST_FAIL,
    ST_RELEASE,
    ST_PUT_MEDIA,
    ST_BEAT,
    ST_TICK,
    ST_UNREGISTER,
    ST_TRASH,
    ST_TRASH_DONE,
    ST_STRAYS,
    ST_BEGIN_CALL,
    ST_CALL_ANSWER,
    ST_TAKE_POLLS,
    ST_POLL_ANSWERS,
    ST_TAKE_DELIVERIES,
    ST_DELIVERY_ANSWERS,
    ST_SECRETS_WANTED,
    ST_OFFER_SECRETS,
    ST_WEBHOOK_KEYS_WANTED,
    ST_STORE_WEBHOOK_KEYS,
    ST_COUNT,
};

extern const struct db_statement runner_statements[ST_COUNT];

struct runner {
    struct loop      *loop;
    const struct cfg *cfg;
    struct store     *store;
    struct db        *work; /* everything but the beats */
    struct db        *bell; /* LISTEN kiln_work, and the beats */

    const char *name;
    const char *queues; /* a text[] literal, or NULL for all */
    int         slots;
    bool        is_once;
    uint64_t    idle_exit_ms; /* 0 = stay */

    const char *work_folder; /* $KILN_HOME/work */
    const char *self_folder; /* where kiln-runner's own binary lies, and kiln-media beside it */
    const struct sandbox *sandbox; /* of tools and kiln-media; NULL: none, in tests */

    struct dispatch     *dispatch;
    struct beat         *beat;
    struct transfers    *transfers;
    struct polls        *polls;
    struct deliver      *deliver;
    struct secrets      *secrets;
    struct keys         *keys;
    struct housekeeping *housekeeping;

    int exit_code;
};

/* Whether an error says nothing about what was asked, so that asking again later is right. */
bool runner_is_passing(const struct err *err);

#endif
