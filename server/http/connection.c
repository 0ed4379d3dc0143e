/*
 * connection: lists by phase, a table of addresses, and one look a second; see connection.h.
 */
#include "server/http/connection.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "server/http/request.h"
#include "server/http/mhd.h"
#include "server/http/limit.h"
#include "lib/log.h"
#include "server/http/metrics.h"

#define KEPT_MS \
    75000 /* above the 60 s that proxies keep an idle connection, or they would meet our close */
#define BODY_MS          3600000
#define DRAIN_HEAD_MS    1000
#define DRAIN_STRETCH_MS 2000
#define SWEEP_MS         1000
#define TELL_MS          10000 /* between two lines of the log about the same thing */
#define LINGER_MOST      256
#define LINGER_MS        2000
#define LINGER_BYTES     (4u << 20)
#define BUCKETS          4096 /* a power of two */

TAILQ_HEAD(connection_list, connection);

struct peer {
    struct limit_address address;
    struct peer         *next;
    size_t               count;
    bool                 is_exempt;
};

/* A socket that MHD has closed and we have not. */
struct lingering {
    struct connections *all;
    struct lingering   *next, **at;
    struct loop_watch   watch;
    struct loop_timer   timer;
    size_t              bytes;
};

struct connections {
    struct server         *server;
    struct connection_list lists[CONNECTION_PHASES];
    struct connection_list fresh; /* of HEAD those that were never answered */
    size_t                 count, heads, nfresh, nlingers;
    struct peer           *peers[BUCKETS];
    struct lingering      *lingers;
    struct loop_timer      timer;
    void (*on_late)(struct connection *c);
    uint64_t told_address_ms, told_room_ms;
};

/* ---- addresses ---- */

static struct peer **find_peer(struct connections *all, const struct limit_address *address)
{
    struct peer **at = &all->peers[limits_hash(all->server->limits, address) % BUCKETS];

    while (*at && memcmp(&(*at)->address, address, sizeof(*address)) != 0)
        at = &(*at)->next;
    return at;
}

static struct peer *hold_peer(struct connections *all, const struct sockaddr *sockaddr)
{
    struct limit_address address = limits_network(sockaddr);
    struct peer        **at      = find_peer(all, &address);

    if (!*at) {
        *at = calloc(1, sizeof(**at));
        if (!*at)
            abort();
        (*at)->address   = address;
        (*at)->is_exempt = limits_is_exempt(all->server->limits, sockaddr);
    }
    (*at)->count++;
    return *at;
}

void peer_release(struct connections *all, struct peer *peer)
{
    struct peer **at;

    if (!peer || --peer->count > 0)
        return;
    at  = find_peer(all, &peer->address);
    *at = peer->next;
    free(peer);
}

struct peer *connection_detach(struct connection *c)
{
    struct peer *peer = c->peer;

    c->peer        = NULL;
    c->is_detached = true;
    return peer;
}

static bool may_tell(uint64_t *told_ms)
{
    uint64_t now = base_now_ms();

    if (*told_ms && now < *told_ms + TELL_MS)
        return false;
    *told_ms = now;
    return true;
}

static void tell_address(struct connections *all, const struct sockaddr *sockaddr, size_t count)
{
    char        text[INET6_ADDRSTRLEN] = "";
    const void *address =
        sockaddr->sa_family == AF_INET
            ? (const void *)&((const struct sockaddr_in *)(const void *)sockaddr)->sin_addr
            : (const void *)&((const struct sockaddr_in6 *)(const void *)sockaddr)->sin6_addr;

    if (!may_tell(&all->told_address_ms))
        return;
    inet_ntop(sockaddr->sa_family, address, text, sizeof(text));
    log_warn("an address has as many connections as it may (KILN_CONNECTIONS_PER_ADDRESS)",
             "address", text, "connections", LOG_I64(count), NULL);
}

bool connections_admit(struct connections *all, const struct sockaddr *sockaddr)
{
    struct limit_address address = limits_network(sockaddr);
    struct peer         *peer    = *find_peer(all, &address);
    int                  most    = all->server->cfg->connections_per_address;

    if (!most || !peer || peer->is_exempt || peer->count < (size_t)most)
        return true;
    metrics_connection_ended(all->server->metrics, END_OF_ADDRESS);
    tell_address(all, sockaddr, peer->count);
    return false;
}

/* ---- phases ---- */

static struct connection_list *list_of(struct connections *all, const struct connection *c)
{
    return c->phase == CONNECTION_HEAD && c->answers == 0 ? &all->fresh : &all->lists[c->phase];
}

static void take_out(struct connection *c)
{
    TAILQ_REMOVE(list_of(c->all, c), c, entry);
    c->all->heads -= c->phase == CONNECTION_HEAD;
    c->all->nfresh -= list_of(c->all, c) == &c->all->fresh;
}

static void put_in(struct connection *c, enum connection_phase phase)
{
    c->phase     = phase;
    c->since_ms  = base_now_ms();
    c->window_ms = c->since_ms;
    c->bytes     = 0;
    c->all->heads += phase == CONNECTION_HEAD;
    c->all->nfresh += list_of(c->all, c) == &c->all->fresh;
    TAILQ_INSERT_TAIL(list_of(c->all, c), c, entry);
}

static void read_info(const struct connection *c, struct tcp_info *info)
{
    socklen_t bytes = sizeof(*info);

    memset(info, 0, sizeof(*info));
    getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, info, &bytes);
}

bool connection_is_unanswered(const struct connection *c)
{
    struct tcp_info info;

    read_info(c, &info);
    return info.tcpi_bytes_received > 0 && info.tcpi_bytes_sent == 0;
}

void connection_cut(struct connection *c)
{
    if (c->phase == CONNECTION_CUT)
        return;
    take_out(c);
    put_in(c, CONNECTION_CUT);
    shutdown(c->fd, SHUT_RDWR);
    mhd_run_again(c->all->server->mhd);
}

/* Closes the oldest connection: of those never answered where they fill more than half, else of the
 * others. A flood thus makes room for itself. */
static void make_room(struct connections *all)
{
    size_t                  most = (size_t)all->server->cfg->max_connections;
    struct connection_list *list =
        all->nfresh > most / 2 ? &all->fresh : &all->lists[CONNECTION_HEAD];
    struct connection *oldest = TAILQ_FIRST(list);

    if (all->heads <= most || !oldest)
        return;
    metrics_connection_ended(all->server->metrics, END_OF_ROOM);
    if (may_tell(&all->told_room_ms))
        log_warn("the oldest idle connections are closed to make room for others "
                 "(KILN_MAX_CONNECTIONS)",
                 "connections", LOG_I64(all->count), "idle", LOG_I64(all->heads), NULL);
    connection_cut(oldest);
}

void connection_enter(struct connection *c, enum connection_phase phase)
{
    struct tcp_info info;

    if (c->phase == CONNECTION_CUT || (c->phase == phase && phase != CONNECTION_HEAD))
        return;
    take_out(c);
    c->answers += phase == CONNECTION_HEAD;
    put_in(c, phase);
    if (phase == CONNECTION_ANSWER) {
        read_info(c, &info);
        c->bytes = info.tcpi_bytes_acked;
    }
    if (phase == CONNECTION_HEAD)
        make_room(c->all);
}

void connection_received(struct connection *c, size_t bytes)
{
    c->bytes += bytes;
}

struct connection *connections_receiving(struct connections *all, struct connection *behind)
{
    return behind ? TAILQ_NEXT(behind, entry) : TAILQ_FIRST(&all->lists[CONNECTION_BODY]);
}

/* ---- start and stop ---- */

struct connection *connection_start(struct connections *all, int fd, const struct sockaddr *peer)
{
    struct connection *c = calloc(1, sizeof(*c));

    if (!c)
        abort();
    c->all  = all;
    c->fd   = fd;
    c->peer = hold_peer(all, peer);
    all->count++;
    put_in(c, CONNECTION_HEAD);
    make_room(all);
    return c;
}

static void linger_end(struct lingering *linger)
{
    int fd = linger->watch.fd;

    loop_timer_stop(linger->all->server->loop, &linger->timer);
    loop_del(linger->all->server->loop, &linger->watch);
    close(fd);
    *linger->at = linger->next;
    if (linger->next)
        linger->next->at = linger->at;
    linger->all->nlingers--;
    free(linger);
}

static void on_linger_time(void *ctx)
{
    linger_end(ctx);
}

static void on_linger_bytes(void *ctx, uint32_t events)
{
    struct lingering *linger = ctx;
    char              buffer[16384];
    ssize_t           n = recv(linger->watch.fd, buffer, sizeof(buffer), MSG_DONTWAIT);

    (void)events;
    if (n > 0)
        linger->bytes += (size_t)n;
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR) || linger->bytes > LINGER_BYTES)
        linger_end(linger);
}

/* RFC 9112 §9.6: say that nothing more will come, and read on until the client has closed. */
static void linger_start(struct connections *all, int fd)
{
    struct lingering *linger = calloc(1, sizeof(*linger));
    struct err        ignored;

    if (!linger)
        abort();
    linger->all   = all;
    linger->watch = (struct loop_watch) { .on_event = on_linger_bytes, .ctx = linger, .fd = -1 };
    linger->timer = (struct loop_timer) { .on_time = on_linger_time, .ctx = linger };
    if (!loop_add(all->server->loop, &linger->watch, fd, EPOLLIN | EPOLLRDHUP, &ignored)) {
        close(fd);
        free(linger);
        return;
    }
    shutdown(fd, SHUT_WR);
    loop_timer_set(all->server->loop, &linger->timer, LINGER_MS);
    linger->at   = &all->lingers;
    linger->next = all->lingers;
    if (linger->next)
        linger->next->at = &linger->next;
    all->lingers = linger;
    all->nlingers++;
}

static void linger_if_needed(const struct connection *c)
{
    struct connections *all    = c->all;
    int                 unread = 0;
    int                 fd;

    if (c->phase == CONNECTION_CUT || c->is_detached || all->nlingers >= LINGER_MOST)
        return;
    if (c->is_clean && (ioctl(c->fd, FIONREAD, &unread) < 0 || unread == 0))
        return;
    fd = fcntl(c->fd, F_DUPFD_CLOEXEC, 0);
    if (fd >= 0)
        linger_start(all, fd);
}

void connection_stop(struct connection *c)
{
    linger_if_needed(c);
    take_out(c);
    c->all->count--;
    peer_release(c->all, c->peer);
    free(c);
}

/* ---- deadlines ---- */

static void end_late(struct connection *c, enum connection_end why)
{
    metrics_connection_ended(c->all->server->metrics, why);
    c->all->on_late(c);
    connection_cut(c);
}

/* Where the client's last bytes and its close come together, MHD (0.9.75) does not see the close:
 * it takes a short read for the end of an edge. */
static bool is_client_gone(const struct connection *c)
{
    char byte;

    return recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static void check_head(struct connection *c, uint64_t now_ms)
{
    const struct server *server  = c->all->server;
    uint64_t             most_ms = c->answers ? KEPT_MS : (uint64_t)server->cfg->client_timeout_ms;

    if (server->is_draining && c->request && most_ms > DRAIN_HEAD_MS)
        most_ms = DRAIN_HEAD_MS;
    if (now_ms >= c->since_ms + most_ms)
        end_late(c, END_OF_HEAD);
    else if (is_client_gone(c))
        connection_cut(c);
}

/* A server that stops has less patience, with the same rate. */
static uint64_t stretch_ms(const struct connection *c)
{
    const struct server *server = c->all->server;
    uint64_t             ms     = (uint64_t)server->cfg->client_timeout_ms;

    return server->is_draining && ms > DRAIN_STRETCH_MS ? DRAIN_STRETCH_MS : ms;
}

static bool is_window_over(const struct connection *c, uint64_t now_ms)
{
    return now_ms >= c->window_ms + stretch_ms(c);
}

static uint64_t bytes_due(const struct connection *c)
{
    return (uint64_t)c->all->server->cfg->client_bytes_per_second * stretch_ms(c) / 1000;
}

static void check_body(struct connection *c, uint64_t now_ms)
{
    if (is_client_gone(c))
        connection_cut(c);
    else if (now_ms >= c->since_ms + BODY_MS
             || (is_window_over(c, now_ms) && c->bytes < bytes_due(c))) {
        end_late(c, END_OF_BODY);
    } else if (is_window_over(c, now_ms)) {
        c->window_ms = now_ms;
        c->bytes     = 0;
    }
}

/* What waits in the kernel for the client; where nothing does, it is we who are slow. */
static void check_answer(struct connection *c, uint64_t now_ms)
{
    struct tcp_info info;
    int             waiting = 0;

    if (!is_window_over(c, now_ms))
        return;
    read_info(c, &info);
    if (info.tcpi_bytes_acked < c->bytes + bytes_due(c) && ioctl(c->fd, SIOCOUTQ, &waiting) == 0
        && waiting > 0) {
        end_late(c, END_OF_READING);
        return;
    }
    c->window_ms = now_ms;
    c->bytes     = info.tcpi_bytes_acked;
}

static void check_list(struct connection_list *list,
                       void (*check)(struct connection *c, uint64_t now_ms), uint64_t now_ms)
{
    struct connection *c, *next;

    for (c = TAILQ_FIRST(list); c; c = next) {
        next = TAILQ_NEXT(c, entry);
        check(c, now_ms);
    }
}

static void sweep(void *ctx)
{
    struct connections *all = ctx;
    uint64_t            now = base_now_ms();

    check_list(&all->fresh, check_head, now);
    check_list(&all->lists[CONNECTION_HEAD], check_head, now);
    check_list(&all->lists[CONNECTION_BODY], check_body, now);
    check_list(&all->lists[CONNECTION_ANSWER], check_answer, now);
    loop_timer_set(all->server->loop, &all->timer, all->server->is_draining ? 100 : SWEEP_MS);
}

/* ---- the end ---- */

void connections_drain(struct connections *all)
{
    loop_timer_set(all->server->loop, &all->timer, 0);
}

static void cut_list(struct connection_list *list)
{
    struct connection *c;

    while ((c = TAILQ_FIRST(list))) {
        c->all->on_late(c);
        connection_cut(c);
    }
}

void connections_cut(struct connections *all)
{
    cut_list(&all->fresh);
    cut_list(&all->lists[CONNECTION_HEAD]);
    cut_list(&all->lists[CONNECTION_BODY]);
    cut_list(&all->lists[CONNECTION_ANSWER]);
}

size_t connections_count(const struct connections *all)
{
    return all->count;
}

struct connections *connections_open(struct server *server, void (*on_late)(struct connection *c))
{
    struct connections *all = calloc(1, sizeof(*all));

    if (!all)
        abort();
    all->server  = server;
    all->on_late = on_late;
    all->timer   = (struct loop_timer) { .on_time = sweep, .ctx = all };
    TAILQ_INIT(&all->fresh);
    for (size_t i = 0; i < CONNECTION_PHASES; i++)
        TAILQ_INIT(&all->lists[i]);
    loop_timer_set(server->loop, &all->timer, SWEEP_MS);
    return all;
}

/* After MHD has stopped, which stops every connection. */
void connections_close(struct connections *all)
{
    if (!all)
        return;
    loop_timer_stop(all->server->loop, &all->timer);
    for (struct lingering *linger = all->lingers, *next; linger; linger = next) {
        next = linger->next;
        linger_end(linger);
    }
    free(all);
}
