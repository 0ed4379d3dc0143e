/*
 * audience: a table of accounts, and a list of those of which there is news.
 */
#include "server/stream/audience.h"

#include <stdio.h>
#include <stdlib.h>

#define BUCKETS    8192 /* a power of two */
#define DIGITS     21   /* of an account and its comma */
#define LIST_BYTES (AUDIENCE_BATCH * DIGITS + 3)

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

struct audience {
    struct entry *buckets[BUCKETS];
    struct entry *news;
    bool          is_anew;
    struct list   came, went;
};

struct audience *audience_open(void)
{
    struct audience *audience = calloc(1, sizeof(*audience));

    if (!audience)
        abort();
    return audience;
}

void audience_close(struct audience *audience)
{
    if (!audience)
        return;
    for (size_t i = 0; i < BUCKETS; i++)
        while (audience->buckets[i]) {
            struct entry *entry  = audience->buckets[i];
            audience->buckets[i] = entry->next;
            free(entry);
        }
    free(audience);
}

/* What points to the entry of an account, or to NULL at the end of its bucket. */
static struct entry **find(struct audience *audience, int64_t account)
{
    struct entry **at =
        &audience->buckets[((uint64_t)account * UINT64_C(0x9e3779b97f4a7c15)) >> 51];

    while (*at && (*at)->account != account)
        at = &(*at)->next;
    return at;
}

static void list_news(struct audience *audience, struct entry *entry)
{
    if (entry->is_listed)
        return;
    entry->is_listed = true;
    entry->next_news = audience->news;
    audience->news   = entry;
}

void audience_enter(struct audience *audience, int64_t account)
{
    struct entry **at = find(audience, account);

    if (!*at) {
        *at = calloc(1, sizeof(**at));
        if (!*at)
            abort();
        (*at)->account = account;
    }
    if ((*at)->streams++ == 0)
        list_news(audience, *at);
}

void audience_leave(struct audience *audience, int64_t account)
{
    struct entry *entry = *find(audience, account);

    if (--entry->streams == 0)
        list_news(audience, entry);
}

bool audience_has_news(const struct audience *audience)
{
    return audience->news || audience->is_anew;
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

static void drop(struct audience *audience, struct entry *entry)
{
    *find(audience, entry->account) = entry->next;
    free(entry);
}

struct audience_news audience_take(struct audience *audience)
{
    struct audience_news news = { .is_anew = audience->is_anew };

    audience->is_anew = false;
    begin(&audience->came);
    begin(&audience->went);
    for (size_t i = 0; i < AUDIENCE_BATCH && audience->news; i++) {
        struct entry *entry   = audience->news;
        bool          is_here = entry->streams > 0;

        audience->news   = entry->next_news;
        entry->is_listed = false;
        if (is_here != entry->is_told)
            add(is_here ? &audience->came : &audience->went, entry->account);
        entry->is_told = is_here;
        if (!is_here)
            drop(audience, entry);
    }
    news.came = end(&audience->came);
    news.went = end(&audience->went);
    return news;
}

/* Who is not here any more stays listed, finds that nothing of it was told, and goes. */
void audience_forget(struct audience *audience)
{
    audience->is_anew = true;
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct entry *entry = audience->buckets[i]; entry; entry = entry->next) {
            entry->is_told = false;
            list_news(audience, entry);
        }
}
