/*
 * failpoint: see failpoint.h. Only in the chaos build; the state is the process's, hence static.
 *
 * Works in forked children too (they inherit the pages), and uses nothing that may itself hold a
 * fail point.
 */
#include "lib/failpoint.h"

#ifdef KILN_FAILPOINTS

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/base.h"

#define PAGE_BYTES 256
#define NAME_BYTES 64

static const char *const names[] = {
#define FAILPOINT_DEF(name, program, what) name,
#include "lib/failpoints.def"
#undef FAILPOINT_DEF
};

struct order {
    char     name[NAME_BYTES], action[16];
    unsigned nth; /* hits still to come; 0 = done */
};

static bool           is_open;
static uint64_t      *hits;
static const uint8_t *page;
static uint64_t       page_seen;
static struct order   order;

static void *map(const char *variable, size_t bytes, int open_flags, int protection)
{
    const char *path = getenv(variable);
    int         fd   = path ? open(path, open_flags | O_CLOEXEC, 0644) : -1;
    void       *at   = MAP_FAILED;

    if (fd >= 0 && ((open_flags & O_ACCMODE) == O_RDONLY || ftruncate(fd, (off_t)bytes) == 0))
        at = mmap(NULL, bytes, protection, MAP_SHARED, fd, 0);
    if (fd >= 0)
        close(fd);
    return at == MAP_FAILED ? NULL : at;
}

/* name:action or name:nth:action */
static void take_order(const char *text)
{
    const char *first = strchr(text, ':'), *last = strrchr(text, ':');

    order = (struct order) { 0 };
    if (!first)
        return;
    snprintf(order.name, sizeof order.name, "%.*s", (int)(first - text), text);
    snprintf(order.action, sizeof order.action, "%.*s", (int)strcspn(last + 1, "\n"), last + 1);
    order.nth = first == last ? 1 : (unsigned)strtoul(first + 1, NULL, 10);
}

static void open_once(void)
{
    const char *text = getenv("KILN_FAILPOINT");

    is_open = true;
    hits    = map("KILN_FAILPOINT_HITS", sizeof(uint64_t) * countof(names), O_RDWR | O_CREAT,
                  PROT_READ | PROT_WRITE);
    page    = map("KILN_FAILPOINT_PAGE", PAGE_BYTES, O_RDONLY, PROT_READ);
    if (text)
        take_order(text);
}

static void look_at_page(void)
{
    uint64_t number;
    char     text[PAGE_BYTES - sizeof number + 1];

    if (!page)
        return;
    number = __atomic_load_n((const uint64_t *)(const void *)page, __ATOMIC_ACQUIRE);
    if (number == page_seen)
        return;
    page_seen = number;
    memcpy(text, page + sizeof number, sizeof text - 1);
    text[sizeof text - 1] = '\0';
    take_order(text);
}

/* Whoever listens may be gone: then the program goes on. */
static bool tell(const char *name)
{
    const char        *path = getenv("KILN_FAILPOINT_SOCKET");
    struct sockaddr_un to   = { .sun_family = AF_UNIX };
    int                fd   = path ? socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;
    char               line[NAME_BYTES + 32], answer = 'g';
    int                bytes = snprintf(line, sizeof line, "%s %d\n", name, (int)getpid());

    if (fd < 0)
        return false;
    snprintf(to.sun_path, sizeof to.sun_path, "%s", path);
    if (connect(fd, (const struct sockaddr *)&to, sizeof to) == 0
        && write(fd, line, (size_t)bytes) == bytes && read(fd, &answer, 1) != 1)
        answer = 'g';
    close(fd);
    return answer == 'e';
}

static int find(const char *name)
{
    for (size_t i = 0; i < countof(names); i++)
        if (strcmp(names[i], name) == 0)
            return (int)i;
    fprintf(stderr, "fail point %s is not in lib/failpoints.def\n", name);
    abort();
}

bool failpoint_hit(int *at, const char *name)
{
    if (!is_open)
        open_once();
    if (*at < 0)
        *at = find(name);
    if (hits)
        __atomic_fetch_add(&hits[*at], 1, __ATOMIC_RELAXED);
    look_at_page();
    if (order.nth == 0 || strcmp(order.name, name) != 0 || --order.nth > 0)
        return false;
    if (strcmp(order.action, "kill") == 0)
        kill(getpid(), SIGKILL);
    else if (strcmp(order.action, "stop") == 0)
        kill(getpid(), SIGSTOP);
    else if (strcmp(order.action, "tell") == 0)
        return tell(name);
    return strcmp(order.action, "error") == 0;
}

#endif
