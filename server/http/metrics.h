/*
 * metrics: what this process counts. The page that shows it: routes/metrics_page.h.
 */
#ifndef KILN_METRICS_H
#define KILN_METRICS_H

#include <stdio.h>

#include "lib/base.h"
#include "server/http/connection.h"
#include "server/http/route.h"

struct metrics;

/* How a client receives events. */
enum transport { TRANSPORT_SSE, TRANSPORT_WEBSOCKET, TRANSPORT_POLL, TRANSPORTS };

struct metrics *metrics_open(const struct routes *routes);
void            metrics_close(struct metrics *metrics);

/* route NULL: no such path. status 0: the client was gone before an answer. Streams count, but have
 * no latency. */
void metrics_request(struct metrics *metrics, const struct route *route, unsigned status,
                     uint64_t nanoseconds);

void   metrics_stream_opened(struct metrics *metrics, enum transport transport);
void   metrics_stream_closed(struct metrics *metrics, enum transport transport);
size_t metrics_streams(const struct metrics *metrics, enum transport transport); /* open now */

void metrics_events_sent(struct metrics *metrics, size_t events);
void metrics_slow_reader_cut(struct metrics *metrics);
void metrics_pump_read(struct metrics *metrics);
void metrics_connection_ended(struct metrics *metrics, enum connection_end why);

/* Prometheus text 0.0.4; long polls are left out. */
void metrics_write(const struct metrics *metrics, FILE *out);
void metrics_write_number(FILE *out, const char *name, const char *type, const char *help,
                          uint64_t value);

#endif
