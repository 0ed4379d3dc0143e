/*
 * bus: the pump. One connection LISTENs and reads the event log for all listeners of this process;
 * a position (the head) says how far it has read. A notification only says when to read, so one
 * that is lost costs at most a second.
 *
 * A listener that joins with a position of its own is replayed up to the head of that moment by
 * another connection, while what the pump reads after that head is held back for it: nothing is
 * lost and nothing comes twice. Its position may be ahead of this process (another one served it a
 * moment ago), so it is admitted at a head that was asked for after it came: a later snapshot of
 * the same database sees all that an earlier one saw.
 */
#ifndef KILN_BUS_H
#define KILN_BUS_H

#include "lib/base.h"
#include "lib/err.h"
#include "server/stream/frame.h"

struct bus;
struct server;

/* What was read, for as long as it is handed out. */
struct bus_event {
    int64_t     account;
    const char *position; /* NULL: it has none, it is not in the log or too long to name */
    const char *type, *data;
    const char *place, *state; /* for a listener of all: its position, the job's state or NULL */
    int64_t latest; /* not 0: of those with the same number that still wait, the latest will do */
    struct frame frames[FRAME_KINDS]; /* made when the first listener of the kind wants it */
    bool         is_made[FRAME_KINDS];
};

const struct frame *bus_event_frame(struct bus_event *event, enum frame_kind kind);

struct listener;

struct listener_ops {
    /* The pump stands at head: from now on events come; what lies between the listener's own
     * position and head is its own business. */
    void (*begin)(struct listener *listener, const char *head);
    void (*event)(struct listener *listener, struct bus_event *event);
    /* The pump's position is not known any more: it goes on from head. */
    void (*reset)(struct listener *listener, const char *head);
};

struct listener { /* embedded; the bus only points at it */
    const struct listener_ops *ops;
    int64_t                    account;
    uint64_t                   since_ns;  /* before it was asked whether it may listen */
    uint64_t                   batch;     /* the bus's: at which of its reads it was admitted */
    bool                       wants_all; /* every account's events */
    struct listener           *next;
    struct listener          **at; /* what points here; NULL: in no list */
};

struct bus *bus_open(struct server *server, struct err *err);
void        bus_close(struct bus *bus);
bool        bus_check(struct server *server, struct err *err);
bool        bus_is_up(const struct bus *bus);

/* How far the pump has read; "" where it does not know. */
const char *bus_head(const struct bus *bus);

/* begin() is called now or when a head is known; from then on it gets its account's events. */
void bus_join(struct bus *bus, struct listener *listener, bool has_position);
void bus_leave(struct bus *bus, struct listener *listener); /* twice is fine */

#endif
