/*
 * presence: a table of accounts, and a list of those of which there is news.
 */
#include "server/stream/presence.h"

#include <stdio.h>
#include <stdlib.h>

#define BUCKETS    8192 /* a power of two */
#define DIGITS     21   /* of an account and its comma */
#define LIST_BYTES (PRESENCE_BATCH * DIGITS + 3)

struct entry {
    int64_t       account;
    unsigned      streams;
    bool          is_told, is_listed;
    struct entry *next, *next_news;
};

struct list { /* {1,2,3} */
    char   text[LIST_BYTES];
    size_t bytes;
};

struct presence {
    struct entry *buckets[BUCKETS];
    struct entry *news;
    bool          is_complete;
    struct list   came, went;
};

struct presence *presence_open(void)
{
    struct presence *presence = calloc(1, sizeof(*presence));

    if (!presence)
        abort();
    return presence;
}

void presence_close(struct presence *presence)
{
    if (!presence)
        return;
    for (size_t i = 0; i < BUCKETS; i++)
        while (presence->buckets[i]) {
            struct entry *entry  = presence->buckets[i];
            presence->buckets[i] = entry->next;
            free(entry);
        }
    free(presence);
}

/* What points to the entry of an account, or to NULL at the end of its bucket. */
static struct entry **find(struct presence *presence, int64_t account)
{
    struct entry **at =
        &presence->buckets[((uint64_t)account * UINT64_C(0x9e3779b97f4a7c15)) >> 51];

    while (*at && (*at)->account != account)
        at = &(*at)->next;
    return at;
}

static void list_news(struct presence *presence, struct entry *entry)
{
    if (entry->is_listed)
        return;
    entry->is_listed = true;
    entry->next_news = presence->news;
    presence->news   = entry;
}

void presence_enter(struct presence *presence, int64_t account)
{
    struct entry **at = find(presence, account);

    if (!*at) {
        *at = calloc(1, sizeof(**at));
        if (!*at)
            abort();
        (*at)->account = account;
    }
    if ((*at)->streams++ == 0)
        list_news(presence, *at);
}

void presence_leave(struct presence *presence, int64_t account)
{
    struct entry *entry = *find(presence, account);

    if (--entry->streams == 0)
        list_news(presence, entry);
}

bool presence_has_news(const struct presence *presence)
{
    return presence->news || presence->is_complete;
}

static void begin(struct list *list)
{
    list->text[0] = '{';
    list->bytes   = 1;
}

static void add(struct list *list, int64_t account)
{
    list->bytes += (size_t)snprintf(list->text + list->bytes, LIST_BYTES - list->bytes, "%s%lld",
                                    list->bytes > 1 ? "," : "", (long long)account);
}

static const char *end(struct list *list)
{
    list->text[list->bytes]     = '}';
    list->text[list->bytes + 1] = '\0';
    return list->text;
}

static void drop(struct presence *presence, struct entry *entry)
{
    *find(presence, entry->account) = entry->next;
    free(entry);
}

struct presence_news presence_next(struct presence *presence)
{
    struct presence_news news = { .is_complete = presence->is_complete };

    presence->is_complete = false;
    begin(&presence->came);
    begin(&presence->went);
    for (size_t i = 0; i < PRESENCE_BATCH && presence->news; i++) {
        struct entry *entry   = presence->news;
        bool          is_here = entry->streams > 0;

        presence->news   = entry->next_news;
        entry->is_listed = false;
        if (is_here != entry->is_told)
            add(is_here ? &presence->came : &presence->went, entry->account);
        entry->is_told = is_here;
        if (!is_here)
            drop(presence, entry);
    }
    news.came = end(&presence->came);
    news.went = end(&presence->went);
    return news;
}

/* An account without streams stays listed until the report that would name it. */
void presence_resync(struct presence *presence)
{
    presence->is_complete = true;
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct entry *entry = presence->buckets[i]; entry; entry = entry->next) {
            entry->is_told = false;
            list_news(presence, entry);
        }
}
