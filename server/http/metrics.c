/*
 * metrics: counters in plain arrays, written as Prometheus text 0.0.4. Counters of the database
 * (queues, jobs, money) come from SQL and are put behind ours; a database that does not answer
 * leaves only ours.
 */
#include "server/http/metrics.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/stream/bus.h"
#include "server/http/http.h"
#include "server/pool/lanes.h"
#include "lib/log.h"

#define ROUTES_MAX 160 /* routes[] and one row for what is none */

static const unsigned statuses[] = { 101, 200, 201, 202, 204, 206, 304, 307, 400, 401,
                                     403, 404, 405, 408, 409, 410, 413, 414, 415, 416,
                                     422, 426, 429, 431, 500, 503, 505, 0 };

static const double buckets[] = { 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                  0.25,  0.5,    1,     2.5,  5,     10 };

/* By enum connection_end. */
static const char *const ends[] = { "address", "room", "head", "body", "reading" };

struct metrics {
    uint64_t requests[ROUTES_MAX][countof(statuses)];
    uint64_t latency[countof(buckets) + 1];
    double   latency_seconds;
    uint64_t streams[FRAME_KINDS], streams_opened[FRAME_KINDS];
    uint64_t events_sent, slow_readers_cut, pump_reads;
    uint64_t ended[countof(ends)];
};

struct metrics *metrics_open(void)
{
    struct metrics *metrics = calloc(1, sizeof(*metrics));

    if (!metrics || nroutes >= ROUTES_MAX)
        abort();
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
    size_t row = route ? (size_t)(route - routes) : nroutes;

    metrics->requests[row][status_index(status)]++;
    if (status && !(route && (route->auth == AUTH_STREAM || route->auth == AUTH_WATCH)))
        observe_latency(metrics, (double)nanoseconds / 1e9);
}

void metrics_stream_opened(struct metrics *metrics, enum frame_kind kind)
{
    metrics->streams[kind]++;
    metrics->streams_opened[kind]++;
}

void metrics_stream_closed(struct metrics *metrics, enum frame_kind kind)
{
    metrics->streams[kind]--;
}

size_t metrics_streams(const struct metrics *metrics, enum frame_kind kind)
{
    return metrics->streams[kind];
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

/* ---- /healthz and /readyz ---- */

static void health(struct request *r)
{
    const char body[] = "{\"status\":\"ok\",\"version\":\"" KILN_VERSION "\"}";

    request_answer(r, 200, http_text_response(strdup(body), sizeof body - 1, "application/json"));
}

/* Who runs this reads what to do here; who uses it reads "try again" everywhere else. */
static void on_ready(void *ctx, PGresult *result, const struct err *err)
{
    struct err told;

    if (err && db_is_restored(err)) {
        err_set(&told, "HR001", "%s", err->message);
        err = &told;
    }
    call_answer(ctx, result, err);
}

/* A draining server is alive but should get nothing new. */
static void ready(struct request *r)
{
    struct err err;

    if (!r->server->is_draining) {
        call_route_then(r, NULL, on_ready);
        return;
    }
    err_set(&err, "57P01", "the server is stopping");
    request_problem(r, &err);
}

const struct handler metrics_health = { .finish = health };
const struct handler metrics_ready  = { .finish = ready };

/* ---- /metrics ---- */

static void write_number(FILE *out, const char *name, const char *type, const char *help,
                         uint64_t value)
{
    fprintf(out, "# HELP %s %s\n# TYPE %s %s\n%s %" PRIu64 "\n", name, help, name, type, name,
            value);
}

static void write_kinds(FILE *out, const char *name, const char *type, const char *help,
                        const uint64_t values[FRAME_KINDS])
{
    fprintf(out,
            "# HELP %s %s\n# TYPE %s %s\n%s{kind=\"sse\"} %" PRIu64
            "\n%s{kind=\"websocket\"} %" PRIu64 "\n",
            name, help, name, type, name, values[FRAME_SSE], name, values[FRAME_WS]);
}

static void write_requests(FILE *out, const struct metrics *m)
{
    fputs(
        "# HELP kiln_http_requests_total Requests by route and status; status 0: the client left.\n"
        "# TYPE kiln_http_requests_total counter\n",
        out);
    for (size_t i = 0; i <= nroutes; i++)
        for (size_t k = 0; k < countof(statuses); k++)
            if (m->requests[i][k])
                fprintf(
                    out,
                    "kiln_http_requests_total{method=\"%s\",route=\"%s\",status=\"%u\"} %" PRIu64
                    "\n",
                    i < nroutes ? routes[i].method : "", i < nroutes ? routes[i].pattern : "",
                    statuses[k], m->requests[i][k]);
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

static void write_connections(FILE *out, const struct server *server)
{
    write_number(out, "kiln_connections", "gauge", "Connections open, but for streams.",
                 http_connections(server->http));
    fputs(
        "# HELP kiln_connections_ended_total Connections that the server refused (address) or closed, by reason.\n"
        "# TYPE kiln_connections_ended_total counter\n",
        out);
    for (size_t i = 0; i < countof(ends); i++)
        fprintf(out, "kiln_connections_ended_total{reason=\"%s\"} %" PRIu64 "\n", ends[i],
                server->metrics->ended[i]);
}

static void write_lanes(FILE *out, const struct lanes *lanes)
{
    struct lane_counts counts[LANES];

    for (size_t i = 0; i < LANES; i++)
        counts[i] = lanes_count(lanes, i);
    fputs("# HELP kiln_lane_waiting Calls that wait for their turn.\n"
          "# TYPE kiln_lane_waiting gauge\n",
          out);
    for (size_t i = 0; i < LANES; i++)
        fprintf(out, "kiln_lane_waiting{lane=\"%s\"} %zu\n", counts[i].name, counts[i].waiting);
    fputs(
        "# HELP kiln_lane_in_flight Calls sent and not answered; long ones until the client has the "
        "answer.\n# TYPE kiln_lane_in_flight gauge\n",
        out);
    for (size_t i = 0; i < LANES; i++)
        fprintf(out, "kiln_lane_in_flight{lane=\"%s\"} %zu\n", counts[i].name, counts[i].under_way);
    fputs("# HELP kiln_lane_links_up Connections to the database that are up.\n"
          "# TYPE kiln_lane_links_up gauge\n",
          out);
    for (size_t i = 0; i < LANES; i++)
        fprintf(out, "kiln_lane_links_up{lane=\"%s\"} %zu\n", counts[i].name, counts[i].links_up);
    fputs(
        "# HELP kiln_lane_refused_total Calls refused: their account has as many waiting as it may, "
        "all have, or the wait was too long.\n# TYPE kiln_lane_refused_total counter\n",
        out);
    for (size_t i = 0; i < LANES; i++)
        fprintf(out,
                "kiln_lane_refused_total{lane=\"%s\",reason=\"account\"} %" PRIu64
                "\nkiln_lane_refused_total{lane=\"%s\",reason=\"all\"} %" PRIu64
                "\nkiln_lane_refused_total{lane=\"%s\",reason=\"late\"} %" PRIu64 "\n",
                counts[i].name, counts[i].refused_owner, counts[i].name, counts[i].refused_all,
                counts[i].name, counts[i].late);
}

static void write_own(FILE *out, const struct server *server)
{
    const struct metrics *m = server->metrics;

    write_requests(out, m);
    write_latency(out, m);
    write_connections(out, server);
    write_kinds(out, "kiln_streams", "gauge", "Event streams open.", m->streams);
    write_kinds(out, "kiln_streams_opened_total", "counter", "Event streams ever opened.",
                m->streams_opened);
    write_number(out, "kiln_stream_events_sent_total", "counter", "Events written to streams.",
                 m->events_sent);
    write_number(out, "kiln_slow_readers_cut_total", "counter",
                 "Streams closed because their queue was full.", m->slow_readers_cut);
    write_number(out, "kiln_bus_reads_total", "counter", "Reads of the event log.", m->pump_reads);
    write_number(out, "kiln_calls_waiting", "gauge", "Calls that wait for a connection.",
                 calls_waiting(server->calls));
    write_number(out, "kiln_db_read_up", "gauge",
                 "1 when each kind of reads has a connection that is up.",
                 calls_read_is_up(server->calls));
    write_number(out, "kiln_db_writers_up", "gauge", "Writing links that are up.",
                 calls_writers_up(server->calls));
    write_lanes(out, calls_lanes(server->calls));
    if (server->bus)
        write_number(out, "kiln_db_listen_up", "gauge", "1 when LISTEN is in force.",
                     bus_is_up(server->bus));
}

static void send_page(struct request *r, const char *of_database)
{
    char  *text = NULL;
    size_t bytes;
    FILE  *out = open_memstream(&text, &bytes);

    if (!out)
        abort();
    write_own(out, r->server);
    fputs(of_database, out);
    if (fclose(out) != 0)
        abort();
    request_answer(r, 200,
                   http_text_response(text, bytes, "text/plain; version=0.0.4; charset=utf-8"));
}

/* SQL gives a JSON string: lines of Prometheus text. */
static void on_page_reply(void *ctx, PGresult *result, const struct err *err)
{
    struct request *r    = ctx;
    json_t         *json = NULL;
    const char     *text;

    if (err)
        log_warn("metrics of the database are missing", "sqlstate", err->sqlstate, "error",
                 err->message, NULL);
    else if (PQntuples(result) == 1 && !PQgetisnull(result, 0, 0))
        json = json_loads(PQgetvalue(result, 0, 0), JSON_DECODE_ANY, NULL);
    text = json_string_value(json);
    send_page(r, text ? text : "");
    json_decref(json);
    PQclear(result);
}

static void page(struct request *r)
{
    call_route_then(r, NULL, on_page_reply);
}

const struct handler metrics_page = { .finish = page };
