/*
 * metrics: counters in plain arrays, written as Prometheus text 0.0.4.
 */
#include "server/http/metrics.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUTES_MAX 160 /* and one row for paths that are no route */

static const unsigned statuses[] = { 101, 200, 201, 202, 204, 206, 304, 307, 400, 401,
                                     403, 404, 405, 408, 409, 410, 413, 414, 415, 416,
                                     422, 426, 429, 431, 500, 503, 505, 0 };

static const double buckets[] = { 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                  0.25,  0.5,    1,     2.5,  5,     10 };

/* By enum connection_end. */
static const char *const ends[] = { "address", "room", "head", "body", "reading" };

struct metrics {
    const struct routes *routes;
    uint64_t             requests[ROUTES_MAX][countof(statuses)];
    uint64_t             latency[countof(buckets) + 1];
    double               latency_seconds;
    uint64_t             streams[TRANSPORTS], streams_opened[TRANSPORTS];
    uint64_t             events_sent, slow_readers_cut, pump_reads;
    uint64_t             ended[countof(ends)];
};

struct metrics *metrics_open(const struct routes *routes)
{
    struct metrics *metrics = calloc(1, sizeof(*metrics));

    if (!metrics)
        abort();
    assert(routes->count < ROUTES_MAX);
    metrics->routes = routes;
    return metrics;
}

void metrics_close(struct metrics *metrics)
{
    free(metrics);
}

static size_t status_index(unsigned status)
{
    for (size_t i = 0; i < countof(statuses); i++)
        if (statuses[i] == status)
            return i;
    return countof(statuses) - 1; /* 0: no answer */
}

static void observe_latency(struct metrics *metrics, double seconds)
{
    size_t i = 0;

    while (i < countof(buckets) && seconds > buckets[i])
        i++;
    metrics->latency[i]++;
    metrics->latency_seconds += seconds;
}

void metrics_request(struct metrics *metrics, const struct route *route, unsigned status,
                     uint64_t nanoseconds)
{
    size_t row =
        (size_t)(route ? route - metrics->routes->rows : (ptrdiff_t)metrics->routes->count);

    metrics->requests[row][status_index(status)]++;
    if (status && !(route && route_is_stream(route)))
        observe_latency(metrics, (double)nanoseconds / 1e9);
}

void metrics_stream_opened(struct metrics *metrics, enum transport transport)
{
    metrics->streams[transport]++;
    metrics->streams_opened[transport]++;
}

void metrics_stream_closed(struct metrics *metrics, enum transport transport)
{
    metrics->streams[transport]--;
}

size_t metrics_streams(const struct metrics *metrics, enum transport transport)
{
    return metrics->streams[transport];
}

void metrics_events_sent(struct metrics *metrics, size_t events)
{
    metrics->events_sent += events;
}

void metrics_slow_reader_cut(struct metrics *metrics)
{
    metrics->slow_readers_cut++;
}

void metrics_pump_read(struct metrics *metrics)
{
    metrics->pump_reads++;
}

void metrics_connection_ended(struct metrics *metrics, enum connection_end why)
{
    metrics->ended[why]++;
}

/* ---- as text ---- */

void metrics_write_number(FILE *out, const char *name, const char *type, const char *help,
                          uint64_t value)
{
    fprintf(out, "# HELP %s %s\n# TYPE %s %s\n%s %" PRIu64 "\n", name, help, name, type, name,
            value);
}

static void write_kinds(FILE *out, const char *name, const char *type, const char *help,
                        const uint64_t values[TRANSPORTS])
{
    fprintf(out,
            "# HELP %s %s\n# TYPE %s %s\n%s{kind=\"sse\"} %" PRIu64
            "\n%s{kind=\"websocket\"} %" PRIu64 "\n",
            name, help, name, type, name, values[TRANSPORT_SSE], name, values[TRANSPORT_WEBSOCKET]);
}

static const char *method_of(const struct metrics *m, size_t row)
{
    return row < m->routes->count ? m->routes->rows[row].method : "";
}

static const char *pattern_of(const struct metrics *m, size_t row)
{
    return row < m->routes->count ? m->routes->rows[row].pattern : "";
}

static void write_requests(FILE *out, const struct metrics *m)
{
    fputs(
        "# HELP kiln_http_requests_total Requests by route and status; status 0: the client left.\n"
        "# TYPE kiln_http_requests_total counter\n",
        out);
    for (size_t i = 0; i <= m->routes->count; i++)
        for (size_t k = 0; k < countof(statuses); k++)
            if (m->requests[i][k])
                fprintf(
                    out,
                    "kiln_http_requests_total{method=\"%s\",route=\"%s\",status=\"%u\"} %" PRIu64
                    "\n",
                    method_of(m, i), pattern_of(m, i), statuses[k], m->requests[i][k]);
}

static void write_latency(FILE *out, const struct metrics *m)
{
    uint64_t sum = 0;

    fputs("# HELP kiln_http_request_seconds From first line to last byte, without streams.\n"
          "# TYPE kiln_http_request_seconds histogram\n",
          out);
    for (size_t i = 0; i < countof(buckets); i++) {
        sum += m->latency[i];
        fprintf(out, "kiln_http_request_seconds_bucket{le=\"%g\"} %" PRIu64 "\n", buckets[i], sum);
    }
    sum += m->latency[countof(buckets)];
    fprintf(out,
            "kiln_http_request_seconds_bucket{le=\"+Inf\"} %" PRIu64 "\n"
            "kiln_http_request_seconds_sum %g\nkiln_http_request_seconds_count %" PRIu64 "\n",
            sum, m->latency_seconds, sum);
}

static void write_ends(FILE *out, const struct metrics *m)
{
    fputs("# HELP kiln_connections_ended_total Connections that the server refused (address) or "
          "closed, by reason.\n# TYPE kiln_connections_ended_total counter\n",
          out);
    for (size_t i = 0; i < countof(ends); i++)
        fprintf(out, "kiln_connections_ended_total{reason=\"%s\"} %" PRIu64 "\n", ends[i],
                m->ended[i]);
}

void metrics_write(const struct metrics *m, FILE *out)
{
    write_requests(out, m);
    write_latency(out, m);
    write_ends(out, m);
    write_kinds(out, "kiln_streams", "gauge", "Event streams open.", m->streams);
    write_kinds(out, "kiln_streams_opened_total", "counter", "Event streams ever opened.",
                m->streams_opened);
    metrics_write_number(out, "kiln_stream_events_sent_total", "counter",
                         "Events written to streams.", m->events_sent);
    metrics_write_number(out, "kiln_slow_readers_cut_total", "counter",
                         "Streams closed because their queue was full.", m->slow_readers_cut);
    metrics_write_number(out, "kiln_bus_reads_total", "counter", "Reads of the event log.",
                         m->pump_reads);
}
