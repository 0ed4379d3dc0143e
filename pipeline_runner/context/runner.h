/*
 * runner: what the parts of kiln-runner share: the statements, the settings, the links.
 *
 * Ownership: main.c makes and ends everything in here; the other parts use it.
 */
#ifndef RUNNER_RUNNER_H
#define RUNNER_RUNNER_H

#include "lib/base.h"
#include "lib/cfg.h"
#include "lib/db.h"
#include "lib/loop.h"
#include "lib/store.h"

struct dispatch;
struct heartbeat;
struct transfers;
struct polls;
struct deliver;
struct secrets;
struct keys;
struct housekeeping;
struct sandbox;

/* Places in runner_statements; both links prepare all of them, so that either can stand in for the
 * other's heartbeats. */
enum statement {
    ST_REGISTER,
    ST_CYCLE,
    ST_COMPLETE,
    ST_PROGRESS,
    ST_FAIL,
    ST_RELEASE,
    ST_PUT_MEDIA,
    ST_HEARTBEAT,
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

enum drain_state {
    NOT_DRAINING,
    DRAINING,     /* claims nothing; what runs may finish */
    HANDING_BACK, /* what still runs is stopped and released */
    SIGNING_OFF,  /* all slots are free: unregister, then the loop stops */
};

enum runner_event {
    RUNNER_REGISTERED, /* under a new runner_id: the database knows nothing else of us yet */
    RUNNER_CLAIMED,    /* work has begun */
};

/* A part that hears of events. It lies in the part's own struct, which lives as long as the
 * loop. */
struct runner_listener {
    void (*on_event)(void *ctx, enum runner_event event);
    void                   *ctx;
    struct runner_listener *next;
};

struct runner {
    struct loop      *loop;
    const struct cfg *cfg;
    struct store     *store;
    struct db        *work;   /* everything but the heartbeats */
    struct db        *listen; /* LISTEN kiln_work, and the heartbeats */

    const char *name;
    const char *queues; /* a text[] literal, or NULL for all */
    int         slots;
    bool        is_once;
    uint64_t    idle_exit_ms; /* 0 = stay */

    const char *work_folder; /* $KILN_HOME/work */
    const char *self_folder; /* where kiln-runner's own binary lies, and kiln-media beside it */
    const struct sandbox *sandbox; /* of tools and kiln-media; NULL: none, in tests */

    struct dispatch     *dispatch;
    struct heartbeat    *heartbeat;
    struct transfers    *transfers;
    struct polls        *polls;
    struct deliver      *deliver;
    struct secrets      *secrets;
    struct keys         *keys;
    struct housekeeping *housekeeping;

    int64_t                 runner_id; /* 0 = not registered; dispatch/lease.c keeps it */
    enum drain_state        drain;     /* dispatch/drain.c keeps it */
    struct runner_listener *listeners;

    int exit_code;
};

void runner_listen(struct runner *runner, struct runner_listener *listener);
void runner_tell(const struct runner *runner, enum runner_event event);

#endif
