/*
 * handlers: the table of handlers, and the one that only prints.
 */
#include "pipeline_runner/call/handlers.h"

#include <string.h>

#include "pipeline_runner/call/call.h"
#include "pipeline_runner/call/tool.h"

/* The first thing one tries: prints its input and hands it on as its output. It answers within the
 * claim, so a drain of a deep queue runs at the speed of the database. */
static void log_start(struct task *task)
{
    task_log(task, LOG_LEVEL_INFO, "input", "input", task->input, NULL, NULL);
    task_done(task, task->input);
}

static void log_stop(struct task *task)
{
    (void)task; /* is never running when someone could stop it */
}

static const struct handler handlers[] = {
    { "log", true, log_start, log_stop },
    { "exec", false, exec_start, tool_stop },
    { "media", false, media_start, tool_stop },
    { "http", false, call_start, call_stop },
};

const struct handler *handler_find(const char *name)
{
    for (size_t i = 0; i < countof(handlers); i++)
        if (strcmp(handlers[i].name, name) == 0)
            return &handlers[i];
    return NULL;
}

const char *handler_name(size_t index)
{
    return index < countof(handlers) ? handlers[index].name : NULL;
}
