/*
 * metrics_page: the counters of this process, gauges of its parts, and the lines that SQL gives. A
 * database that does not answer leaves only the former.
 */
#include "server/routes/metrics_page.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "server/http/http.h"
#include "server/http/metrics.h"
#include "server/http/rpc.h"
#include "server/stream/bus.h"

static void write_pools(FILE *out, const struct pools *pools)
{
    struct pool_counts counts[POOLS];

    for (size_t i = 0; i < POOLS; i++)
        counts[i] = pools_count(pools, i);
    fputs("# HELP kiln_pool_waiting Calls that wait for a connection of their pool.\n"
          "# TYPE kiln_pool_waiting gauge\n",
          out);
    for (size_t i = 0; i < POOLS; i++)
        fprintf(out, "kiln_pool_waiting{pool=\"%s\"} %zu\n", counts[i].name, counts[i].waiting);
    fputs(
        "# HELP kiln_pool_in_flight Calls sent and not answered; long ones until the client has the "
        "answer.\n# TYPE kiln_pool_in_flight gauge\n",
        out);
    for (size_t i = 0; i < POOLS; i++)
        fprintf(out, "kiln_pool_in_flight{pool=\"%s\"} %zu\n", counts[i].name, counts[i].under_way);
    fputs("# HELP kiln_pool_links_up Connections to the database that are up.\n"
          "# TYPE kiln_pool_links_up gauge\n",
          out);
    for (size_t i = 0; i < POOLS; i++)
        fprintf(out, "kiln_pool_links_up{pool=\"%s\"} %zu\n", counts[i].name, counts[i].links_up);
    fputs(
        "# HELP kiln_pool_refused_total Calls refused: their account has as many waiting as it may, "
        "all have, or the wait was too long.\n# TYPE kiln_pool_refused_total counter\n",
        out);
    for (size_t i = 0; i < POOLS; i++)
        fprintf(out,
                "kiln_pool_refused_total{pool=\"%s\",reason=\"account\"} %" PRIu64
                "\nkiln_pool_refused_total{pool=\"%s\",reason=\"all\"} %" PRIu64
                "\nkiln_pool_refused_total{pool=\"%s\",reason=\"late\"} %" PRIu64 "\n",
                counts[i].name, counts[i].refused_owner, counts[i].name, counts[i].refused_all,
                counts[i].name, counts[i].late);
}

static void write_gauges(FILE *out, const struct server *server)
{
    metrics_write_number(out, "kiln_connections", "gauge", "Connections open, but for streams.",
                         http_connections(server->http));
    metrics_write_number(out, "kiln_calls_waiting", "gauge", "Calls that wait for a connection.",
                         pools_waiting(server->pools));
    metrics_write_number(out, "kiln_db_read_up", "gauge",
                         "1 when each pool of reads has a connection that is up.",
                         pools_can_read(server->pools));
    metrics_write_number(out, "kiln_db_writers_up", "gauge", "Writing links that are up.",
                         pools_writers_up(server->pools));
    write_pools(out, server->pools);
    if (server->bus)
        metrics_write_number(out, "kiln_db_listen_up", "gauge", "1 when LISTEN is in force.",
                             bus_is_up(server->bus));
}

static void send_page(struct request *r, const char *of_database)
{
    char  *text = NULL;
    size_t bytes;
    FILE  *out = open_memstream(&text, &bytes);

    if (!out)
        abort();
    metrics_write(r->server->metrics, out);
    write_gauges(out, r->server);
    fputs(of_database, out);
    if (fclose(out) != 0)
        abort();
    request_answer(r, 200,
                   request_text_response(text, bytes, "text/plain; version=0.0.4; charset=utf-8"));
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
    rpc_route_then(r, NULL, on_page_reply);
}

const struct handler metrics_page_get = { .finish = page };
