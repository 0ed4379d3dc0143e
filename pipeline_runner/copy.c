/* copy: one file after the other, and a bar; see copy.h. */
#include "pipeline_runner/copy.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/store.h"

#define BAR      30
#define EVERY_MS 200
#define LINE_MS  5000 /* where nobody watches a terminal */

struct item {
    char     key[STORE_KEY_CHARS + 1];
    char     sha256[65]; /* empty: not known */
    uint64_t bytes;
};

struct copy {
    struct store *from, *to;
    FILE         *out;
    struct item  *items;
    size_t        count, size;
    uint64_t      bytes;

    uint64_t copied, passed, gone, bad;
    uint64_t done_bytes, copied_bytes, began_ms, told_ms;
};

/* ---- the list ---- */

static bool read_item(const char *line, struct item *item)
{
    char key[64], sha256[80], bytes[32];

    if (sscanf(line, "%63s %79s %31s", key, sha256, bytes) != 3 || !store_key_is_valid(key))
        return false;
    memset(item, 0, sizeof *item);
    snprintf(item->key, sizeof item->key, "%.33s", key);
    if (strlen(sha256) == 64)
        snprintf(item->sha256, sizeof item->sha256, "%.64s", sha256);
    item->bytes = strtoull(bytes, NULL, 10); /* "-" is 0 */
    return true;
}

static bool read_list(struct copy *copy, FILE *list)
{
    char  *line = NULL;
    size_t size = 0;
    bool   ok   = true;

    while (ok && getline(&line, &size, list) > 0) {
        if (copy->count == copy->size) {
            copy->size  = copy->size * 2 + 1024;
            copy->items = reallocarray(copy->items, copy->size, sizeof *copy->items);
            if (!copy->items)
                abort();
        }
        ok = read_item(line, &copy->items[copy->count]);
        if (ok)
            copy->bytes += copy->items[copy->count++].bytes;
        else
            fprintf(stderr, "not a line of the list: %.100s", line);
    }
    free(line);
    return ok;
}

/* ---- the bar ---- */

static void tell(struct copy *copy, bool is_end)
{
    uint64_t now = base_now_ms(), spent = now - copy->began_ms;
    bool     is_shown = isatty(fileno(copy->out));
    uint64_t files    = copy->copied + copy->passed + copy->gone + copy->bad;
    double   share    = copy->bytes   ? (double)copy->done_bytes / (double)copy->bytes
                        : copy->count ? (double)files / (double)copy->count
                                      : 1;
    int      filled   = (int)(share * BAR);
    double   speed    = spent ? (double)copy->copied_bytes / 1e3 / (double)spent : 0;

    if (!is_end && now - copy->told_ms < (is_shown ? EVERY_MS : LINE_MS))
        return;
    copy->told_ms = now;
    fprintf(copy->out,
            "%s[%.*s%.*s] %3.0f %%  %" PRIu64 " of %zu files, %.1f of %.1f MB, %.1f MB/s%s",
            is_shown ? "\r" : "", filled, "##############################", BAR - filled,
            "..............................", share * 100, files, copy->count,
            (double)copy->done_bytes / 1e6, (double)copy->bytes / 1e6, speed,
            is_shown && !is_end ? "   " : "\n");
    fflush(copy->out);
}

/* ---- one file ---- */

static bool is_there(struct copy *copy, const struct item *item)
{
    uint64_t   here, there;
    struct err err;

    if (!store_head(copy->to, item->key, &there, &err))
        return false;
    if (item->bytes)
        return there == item->bytes;
    return store_head(copy->from, item->key, &here, &err) && here == there;
}

/* False: there is no use in going on. */
static bool copy_one(struct copy *copy, const struct item *item)
{
    struct err err = { 0 };
    uint64_t   bytes;
    int        fd;
    bool       ok;

    if (is_there(copy, item)) {
        copy->passed++;
        return true;
    }
    fd = store_read(copy->from, item->key, &bytes, &err);
    ok = fd >= 0
         && store_put_as(copy->to, item->key, fd, item->sha256[0] ? item->sha256 : NULL, &err);
    if (fd >= 0)
        close(fd);
    if (ok) {
        copy->copied++;
        copy->copied_bytes += bytes;
    } else if (err_is(&err, "58P01")) {
        copy->gone++;
    } else if (err_is(&err, "22023")) {
        copy->bad++;
        fprintf(stderr, "%s\n", err.message);
    } else {
        fprintf(stderr, "%s\n", err.message);
        return false;
    }
    return true;
}

static int copy_all(struct copy *copy)
{
    copy->began_ms = base_now_ms();
    for (size_t i = 0; i < copy->count; i++) {
        if (!copy_one(copy, &copy->items[i])) {
            fprintf(stderr, "broken off after %zu of %zu files; the same command goes on\n", i,
                    copy->count);
            return EX_IOERR;
        }
        copy->done_bytes += copy->items[i].bytes;
        tell(copy, false);
    }
    tell(copy, true);
    fprintf(copy->out,
            "%" PRIu64 " copied, %" PRIu64 " there already, %" PRIu64
            " deleted meanwhile or missing, %" PRIu64 " damaged\n",
            copy->copied, copy->passed, copy->gone, copy->bad);
    return copy->bad ? EX_DATAERR : 0;
}

int copy_media(const char *from_url, const char *to_url, FILE *list, FILE *out)
{
    struct err  err  = { 0 };
    struct copy copy = { .out = out };
    int         code = EXIT_CONFIG;

    copy.from = store_open(from_url, &err);
    copy.to   = copy.from ? store_open(to_url, &err) : NULL;
    if (!copy.to)
        fprintf(stderr, "%s\n", err.message);
    else if (!read_list(&copy, list))
        code = EX_DATAERR;
    else
        code = copy_all(&copy);
    free(copy.items);
    store_close(copy.from);
    store_close(copy.to);
    return code;
}
