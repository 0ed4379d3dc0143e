/*
 * listeners: many readers of event streams in one thread, which count what comes and say when.
 *
 *   listeners PORT[,PORT] STREAMS LIST OPENED MARK [--each]
 *
 * LIST is a file of lines `PATH<tab>TOKEN` (TOKEN - : none); stream i takes line i modulo their
 * number, and such streams are a group: they must be told the same. OPENED is what shows that a
 * stream stands, MARK the line of an event that counts. Whose link breaks takes the next port and
 * its Last-Event-ID. On stdout, with CLOCK_MONOTONIC in ns:
 *
 *   open NS LINKS      all streams stand (again); so many connections it took
 *   first K NS, all K NS   the K-th event has come to one stream, to all
 *   one STREAM NS      with --each: every event
 *   sum {…}            at SIGTERM: counts, and in how many groups the streams were not told the same
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES 4096
#define AGAIN_NS   UINT64_C(50000000)
#define GROUPS_MAX 32768

struct stream {
    int      fd, port;
    bool     is_open, counts; /* the event under way has the mark */
    size_t   group, line_bytes;
    uint64_t events, sum, due_ns;
    char    *line, *last_id;
};

static struct stream        *streams;
static size_t                nstreams, nopen, ngroups;
static int                   ports[2], nports, epoll_fd;
static uint64_t              total, links;
static char                 *paths[GROUPS_MAX], *tokens[GROUPS_MAX];
static const char           *opened, *mark;
static bool                  is_each;
static volatile sig_atomic_t is_over;

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void say_open(struct stream *s)
{
    s->is_open = true;
    if (++nopen == nstreams)
        printf("open %" PRIu64 " %" PRIu64 "\n", now_ns(), links);
}

static void count_event(struct stream *s)
{
    uint64_t at = now_ns(), k = total / nstreams + 1;

    s->events++;
    total++;
    if (is_each)
        printf("one %zu %" PRIu64 "\n", (size_t)(s - streams), at);
    else if (total % nstreams == 1 || nstreams == 1)
        printf("first %" PRIu64 " %" PRIu64 "\n", k, at);
    if (!is_each && total % nstreams == 0)
        printf("all %" PRIu64 " %" PRIu64 "\n", k, at);
}

/* What an event says stands in its data: the sum tells a lost one and a repeated one apart. */
static void take_line(struct stream *s, char *line)
{
    char *id;

    if (!s->is_open && strstr(line, opened))
        say_open(s);
    if (strncmp(line, "id: ", 4) == 0) {
        free(s->last_id);
        s->last_id = strdup(line + 4);
    }
    if (strstr(line, mark))
        s->counts = true;
    if (!s->counts || strncmp(line, "data:", 5) != 0)
        return;
    s->counts = false;
    if ((id = strstr(line, "\"job_id\": \"")))
        s->sum += strtoull(id + 11, NULL, 10);
    count_event(s);
}

static void take(struct stream *s, const char *data, size_t bytes)
{
    while (bytes > 0) {
        const char *end  = memchr(data, '\n', bytes);
        size_t      part = end ? (size_t)(end - data) : bytes;

        if (s->line_bytes + part < LINE_BYTES) {
            memcpy(s->line + s->line_bytes, data, part);
            s->line_bytes += part;
        }
        if (!end)
            return;
        if (s->line_bytes && s->line[s->line_bytes - 1] == '\r')
            s->line_bytes--;
        s->line[s->line_bytes] = '\0';
        take_line(s, s->line);
        s->line_bytes = 0;
        data += part + 1;
        bytes -= part + 1;
    }
}

static void ask(struct stream *s)
{
    char head[8192];
    int  n = snprintf(head, sizeof(head),
                      "GET %s HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n",
                      paths[s->group]);

    if (strcmp(tokens[s->group], "-") != 0)
        n += snprintf(head + n, sizeof(head) - (size_t)n, "Authorization: Bearer %s\r\n",
                      tokens[s->group]);
    if (s->last_id)
        n += snprintf(head + n, sizeof(head) - (size_t)n, "Last-Event-ID: %s\r\n", s->last_id);
    n += snprintf(head + n, sizeof(head) - (size_t)n, "\r\n");
    if (send(s->fd, head, (size_t)n, MSG_NOSIGNAL) != n)
        s->due_ns = now_ns();
}

static void open_stream(struct stream *s)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)ports[s->port]) };
    struct epoll_event want = { .events = EPOLLIN | EPOLLRDHUP, .data.ptr = s };

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    s->fd              = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s->fd < 0)
        die("socket");
    links++;
    s->due_ns     = 0;
    s->line_bytes = 0;
    s->counts     = false;
    if (connect(s->fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
        close(s->fd);
        s->fd     = -1;
        s->port   = (s->port + 1) % nports;
        s->due_ns = now_ns() + AGAIN_NS;
        return;
    }
    fcntl(s->fd, F_SETFL, O_NONBLOCK);
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, s->fd, &want) < 0)
        die("epoll_ctl");
    ask(s);
}

static void lose(struct stream *s)
{
    close(s->fd);
    s->fd = -1;
    nopen -= s->is_open;
    s->is_open = false;
    s->port    = (s->port + 1) % nports;
    s->due_ns  = now_ns() + AGAIN_NS + (uint64_t)(s - streams) * 7919 % AGAIN_NS;
}

static void read_stream(struct stream *s)
{
    static char buffer[65536];
    ssize_t     n;

    while ((n = recv(s->fd, buffer, sizeof(buffer), 0)) > 0) {
        take(s, buffer, (size_t)n);
        if (n < (ssize_t)sizeof(buffer))
            return;
    }
    if (n == 0 || (errno != EAGAIN && errno != EINTR))
        lose(s);
}

static void on_term(int signo)
{
    (void)signo;
    is_over = 1;
}

static void read_list(const char *file)
{
    char  *line = NULL;
    size_t size = 0;
    FILE  *in   = fopen(file, "r");

    if (!in)
        die(file);
    while (getline(&line, &size, in) > 0) {
        char *tab = strchr(line, '\t');

        if (!tab || ngroups == GROUPS_MAX)
            continue;
        line[strcspn(line, "\n")] = '\0';
        *tab                      = '\0';
        paths[ngroups]            = strdup(line);
        tokens[ngroups++]         = strdup(tab + 1);
    }
    free(line);
    fclose(in);
}

static void read_ports(const char *text)
{
    char *rest;

    while (nports < 2 && *text) {
        ports[nports++] = (int)strtol(text, &rest, 10);
        text            = *rest == ',' ? rest + 1 : rest;
        if (rest[0] && rest[0] != ',')
            break;
    }
}

static void sum_up(void)
{
    uint64_t least = UINT64_MAX, most = 0;
    size_t   unlike = 0;

    for (size_t i = 0; i < nstreams; i++) {
        struct stream *s = &streams[i], *peer = &streams[s->group];

        least = s->events < least ? s->events : least;
        most  = s->events > most ? s->events : most;
        unlike += s->events != peer->events || s->sum != peer->sum;
    }
    printf("sum {\"open\": %zu, \"links\": %" PRIu64 ", \"events\": %" PRIu64
           ", \"least\": %" PRIu64 ", \"most\": %" PRIu64 ", \"unlike\": %zu}\n",
           nopen, links, total, least, most, unlike);
}

int main(int argc, char **argv)
{
    struct epoll_event events[512];
    size_t             begun = 0;

    if (argc < 6) {
        fprintf(stderr, "listeners PORT[,PORT] STREAMS LIST OPENED MARK [--each]\n");
        return 64;
    }
    read_ports(argv[1]);
    nstreams = strtoul(argv[2], NULL, 10);
    opened   = argv[4];
    mark     = argv[5];
    is_each  = argc > 6;
    streams  = calloc(nstreams, sizeof(*streams));
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGTERM, on_term);
    read_list(argv[3]);
    if (!streams || !ngroups || nports < 1 || !nstreams)
        die("arguments");
    while (!is_over) {
        uint64_t now = now_ns();
        int      n;

        /* few at a time: a listen queue is bounded */
        for (size_t i = 0; i < 64 && begun < nstreams; i++, begun++) {
            streams[begun].line  = malloc(LINE_BYTES);
            streams[begun].group = begun % ngroups;
            open_stream(&streams[begun]);
        }
        for (size_t i = 0, again = 0; i < begun && again < 64; i++)
            if (streams[i].fd < 0 && streams[i].due_ns <= now) {
                open_stream(&streams[i]);
                again++;
            }
        n = epoll_wait(epoll_fd, events, 512, begun < nstreams ? 1 : nopen < nstreams ? 10 : 200);
        for (int i = 0; i < n; i++)
            read_stream(events[i].data.ptr);
    }
    sum_up();
    return 0;
}
