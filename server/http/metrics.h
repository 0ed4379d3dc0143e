/*
 * metrics: what this process counts, and the three pages for those who run it: /healthz, /readyz,
 * /metrics.
 */
#ifndef KILN_METRICS_H
#define KILN_METRICS_H

#include "lib/base.h"
#include "server/http/connection.h"
#include "server/stream/frame.h"
#include "server/routes.h"

struct metrics;

struct metrics *metrics_open(void);
void            metrics_close(struct metrics *metrics);

/* route NULL: no such path. status 0: the client was gone before an answer. Streams count, but have
 * no latency. */
void metrics_request(struct metrics *metrics, const struct route *route, unsigned status,
                     uint64_t nanoseconds);

void   metrics_stream_opened(struct metrics *metrics, enum frame_kind kind);
void   metrics_stream_closed(struct metrics *metrics, enum frame_kind kind);
size_t metrics_streams(const struct metrics *metrics, enum frame_kind kind); /* open now */

void metrics_events_sent(struct metrics *metrics, size_t events);
void metrics_slow_reader_cut(struct metrics *metrics);
void metrics_pump_read(struct metrics *metrics);
void metrics_connection_ended(struct metrics *metrics, enum connection_end why);

extern const struct handler metrics_health, metrics_ready, metrics_page;

#endif
