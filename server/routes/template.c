/*
 * template: blocks are found by their marker, values by their name.
 */
#include "server/routes/template.h"

#include <assert.h>
#include <string.h>

#define MARK     "<!-- block: "
#define MARK_END " -->\n"

/* `text` in what lies from `at` to `end`, or NULL. */
static const char *find(const char *at, const char *end, const char *text)
{
    return memmem(at, (size_t)(end - at), text, strlen(text));
}

static void put_escaped(FILE *out, const char *text)
{
    for (; *text; text++)
        switch (*text) {
        case '&': fputs("&amp;", out); break;
        case '<': fputs("&lt;", out); break;
        case '>': fputs("&gt;", out); break;
        case '"': fputs("&quot;", out); break;
        case '\'': fputs("&#39;", out); break;
        default: fputc(*text, out);
        }
}

static struct template find_block(const struct template *template, const char *block)
{
    struct template found = { NULL, template->end };
    size_t      bytes     = strlen(block);
    const char *at        = find(template->start, template->end, MARK);

    while (at && !found.start) {
        const char *name = at + sizeof(MARK) - 1;
        const char *line = find(name, template->end, MARK_END);
        assert(line);
        if ((size_t)(line - name) == bytes && memcmp(name, block, bytes) == 0)
            found.start = line + sizeof(MARK_END) - 1;
        at = find(line, template->end, "\n" MARK);
        if (at && found.start)
            found.end = at;
        at = at ? at + 1 : NULL;
    }
    assert(found.start);
    return found;
}

static const char *value_of(const struct template_value *values, const char *name, size_t bytes)
{
    while (values && values->name
           && !(strlen(values->name) == bytes && memcmp(values->name, name, bytes) == 0))
        values++;
    assert(values && values->name);
    return values->text;
}

void template_put(FILE *out, const struct template *template, const char *block,
                  const struct template_value *values)
{
    struct template it = find_block(template, block);
    const char *at     = it.start;

    for (const char *open; (open = find(at, it.end, "{{")); at = find(open, it.end, "}}") + 2) {
        const char *name = open + 2, *close = find(name, it.end, "}}");
        assert(close);
        fwrite(at, 1, (size_t)(open - at), out);
        put_escaped(out, value_of(values, name, (size_t)(close - name)));
    }
    fwrite(at, 1, (size_t)(it.end - at), out);
}
