/*
 * frame: event framing and the queue of bytes. What clients send is read by wslay; what we send is
 * framed here, since one frame goes to many.
 */
#include "server/stream/frame.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_HEAD 18 /* 16 hex digits and CRLF: room kept in front, filled from the right */
#define ID_MAX     2048

void frame_free(struct frame *frame)
{
    free(frame->text);
    *frame = (struct frame) { 0 };
}

static void add(struct frame *frame, const char *text, size_t bytes)
{
    if (frame->bytes + bytes > frame->size) {
        frame->size = (frame->bytes + bytes) * 2;
        frame->text = realloc(frame->text, frame->size);
        if (!frame->text)
            abort();
    }
    memcpy(frame->text + frame->bytes, text, bytes);
    frame->bytes += bytes;
}

static void add_line(struct frame *frame, const char *field, const char *value, size_t bytes)
{
    add(frame, field, strlen(field));
    add(frame, value, bytes);
    add(frame, "\n", 1);
}

static void begin(struct frame *frame)
{
    frame->bytes = 0;
    add(frame, "                  ", CHUNK_HEAD);
}

/* "%zx\r\n" in front, without gap: what is left over of the room is cut by moving the whole
 * once. */
static void end(struct frame *frame)
{
    char head[CHUNK_HEAD + 2];
    int  n = snprintf(head, sizeof(head), "%zx\r\n", frame->bytes - CHUNK_HEAD);

    add(frame, "\r\n", 2);
    memmove(frame->text + n, frame->text + CHUNK_HEAD, frame->bytes - CHUNK_HEAD);
    memcpy(frame->text, head, (size_t)n);
    frame->bytes -= CHUNK_HEAD - (size_t)n;
}

static bool is_one_line(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ')
            return false;
    return true;
}

static void sse_event(struct frame *frame, const char *id, const char *type, const char *data)
{
    begin(frame);
    if (id && is_one_line(id))
        add_line(frame, "id: ", id, strlen(id));
    if (is_one_line(type))
        add_line(frame, "event: ", type, strlen(type));
    for (;;) {
        size_t bytes = strcspn(data, "\r\n");
        add_line(frame, "data: ", data, bytes);
        data += bytes;
        if (!*data)
            break;
        data += strncmp(data, "\r\n", 2) == 0 ? 2 : 1;
    }
    add(frame, "\n", 1);
    end(frame);
}

/* FIN and text; 7, 16 or 64 bits of length. */
static void add_head(struct frame *frame, size_t bytes)
{
    unsigned char head[10] = { 0x81 };
    size_t        width    = bytes < 126 ? 0 : bytes < 65536 ? 2 : 8;

    head[1] = (unsigned char)(width == 0 ? bytes : width == 2 ? 126 : 127);
    for (size_t i = 0; i < width; i++)
        head[2 + i] = (unsigned char)(bytes >> (8 * (width - 1 - i)));
    frame->bytes = 0;
    add(frame, (const char *)head, 2 + width);
}

void frame_text(struct frame *frame, const char *text, size_t bytes)
{
    add_head(frame, bytes);
    add(frame, text, bytes);
}

/* A position needs no escapes: it is one of ours, or was found sane. */
static void ws_event(struct frame *frame, const char *id, const char *data)
{
    static const char before[] = "{\"position\":\"", after[] = "\",";
    size_t            bytes = strlen(data);

    if (!id || strpbrk(id, "\"\\") || !is_one_line(id) || data[0] != '{') {
        frame_text(frame, data, bytes);
        return;
    }
    add_head(frame, sizeof(before) - 1 + strlen(id) + sizeof(after) - 1 + bytes - 1);
    add(frame, before, sizeof(before) - 1);
    add(frame, id, strlen(id));
    add(frame, after, sizeof(after) - 1);
    add(frame, data + 1, bytes - 1);
}

void frame_event(struct frame *frame, enum frame_kind kind, const char *id, const char *type,
                 const char *data)
{
    if (kind == FRAME_SSE)
        sse_event(frame, id, type, data);
    else
        ws_event(frame, id, data);
}

void frame_raw(struct frame *frame, const char *text)
{
    begin(frame);
    add(frame, text, strlen(text));
    end(frame);
}

void frame_last(struct frame *frame, const char *text)
{
    frame_raw(frame, text);
    add(frame, "0\r\n\r\n", 5);
}

bool frame_id_is_sane(const char *id)
{
    size_t bytes = strlen(id);

    if (bytes == 0 || bytes > ID_MAX)
        return false;
    for (; *id; id++)
        if (*id <= ' ' || *id > '~')
            return false;
    return true;
}

/* ---- the queue ---- */

struct outq_mark {
    int64_t key;
    size_t  at, bytes; /* from the front of the queue */
};

void outq_free(struct outq *q)
{
    free(q->data);
    free(q->marks);
    *q = (struct outq) { 0 };
}

bool outq_add(struct outq *q, const char *data, size_t bytes, size_t max)
{
    if (q->bytes + bytes > max)
        return false;
    if (q->start + q->bytes + bytes > q->size) {
        size_t size = q->bytes + bytes > 4096 ? (q->bytes + bytes) * 2 : 4096;
        char  *room = malloc(size);
        if (!room)
            abort();
        if (q->bytes)
            memcpy(room, q->data + q->start, q->bytes);
        free(q->data);
        q->data  = room;
        q->size  = size;
        q->start = 0;
    }
    memcpy(q->data + q->start + q->bytes, data, bytes);
    q->bytes += bytes;
    return true;
}

static void forget_mark(struct outq *q, size_t i)
{
    memmove(q->marks + i, q->marks + i + 1, (--q->nmarks - i) * sizeof(*q->marks));
}

static void cut_marked(struct outq *q, size_t i)
{
    struct outq_mark mark = q->marks[i];
    char            *from = q->data + q->start + mark.at;

    memmove(from, from + mark.bytes, q->bytes - mark.at - mark.bytes);
    q->bytes -= mark.bytes;
    forget_mark(q, i);
    for (; i < q->nmarks; i++)
        q->marks[i].at -= mark.bytes;
}

static void mark_last(struct outq *q, size_t bytes, int64_t key)
{
    if (!q->marks)
        q->marks = malloc(OUTQ_MARKS * sizeof(*q->marks));
    if (!q->marks)
        abort();
    if (q->nmarks == OUTQ_MARKS)
        forget_mark(q, 0);
    q->marks[q->nmarks++] =
        (struct outq_mark) { .key = key, .at = q->bytes - bytes, .bytes = bytes };
}

/* The old one goes first, since the new one may need its room; where it finds none all the same,
 * the stream is at its end. */
bool outq_add_latest(struct outq *q, const char *data, size_t bytes, size_t max, int64_t key)
{
    for (size_t i = 0; i < q->nmarks; i++)
        if (q->marks[i].key == key) {
            cut_marked(q, i);
            break;
        }
    if (!outq_add(q, data, bytes, max))
        return false;
    mark_last(q, bytes, key);
    return true;
}

/* What was begun to be sent can be replaced no more. */
static void take_marks(struct outq *q, size_t bytes)
{
    size_t gone = 0;

    while (gone < q->nmarks && q->marks[gone].at < bytes)
        gone++;
    q->nmarks -= gone;
    if (q->nmarks)
        memmove(q->marks, q->marks + gone, q->nmarks * sizeof(*q->marks));
    for (size_t i = 0; i < q->nmarks; i++)
        q->marks[i].at -= bytes;
}

void outq_consume(struct outq *q, size_t bytes)
{
    take_marks(q, bytes);
    q->start += bytes;
    q->bytes -= bytes;
    if (q->bytes == 0)
        outq_free(q); /* most streams have nothing queued most of the time */
}
