/*
 * proc: one running child and its three pipes.
 *
 * The end of the process is the end of the work: a grandchild that kept stdout open is killed with
 * the group and not waited for. The pidfd says when; until waitpid() has been called the number of
 * the group cannot be given to anyone else, so killing the group first and reaping after is safe.
 */
#include "pipeline_runner/exec/proc.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define FIRST_OUT 4096

struct proc {
    struct loop        *loop;
    struct proc_options opt;
    pid_t               pid;
    enum proc_cause     cause;
    bool                is_ending; /* SIGTERM or SIGKILL was sent */
    struct loop_watch   ended, in, out, err;
    struct loop_timer   timer;
    size_t              in_done;
    char               *out_text;
    size_t              out_len, out_cap;
    char                line[PROC_LINE_MAX];
    size_t              line_len;
    char                last_line[PROC_LINE_MAX];

    volatile struct spawn_report *report;
};

static void signal_group(const struct proc *proc, int signo)
{
    if (proc->pid == 0) /* reaped: the number may be another's by now */
        return;
    /* Before its setsid() the child is not yet a group: then the second call reaches it. */
    if (kill(-proc->pid, signo) < 0)
        kill(proc->pid, signo);
}

static void close_watch(struct proc *proc, struct loop_watch *watch)
{
    int fd = watch->fd;

    if (fd < 0)
        return;
    loop_del(proc->loop, watch);
    watch->fd = -1;
    close(fd);
}

static void end_by(struct proc *proc, enum proc_cause cause, int signo)
{
    if (!proc->is_ending)
        proc->cause = cause;
    proc->is_ending = true;
    signal_group(proc, signo);
    if (signo == SIGTERM)
        loop_timer_set(proc->loop, &proc->timer, PROC_GRACE_MS);
}

static void on_time(void *ctx)
{
    struct proc *proc = ctx;

    if (proc->is_ending)
        signal_group(proc, SIGKILL);
    else
        end_by(proc, PROC_TIMED_OUT, SIGTERM);
}

static void on_stdin(void *ctx, uint32_t events)
{
    struct proc *proc = ctx;
    ssize_t      put  = 0;

    (void)events;
    if (proc->in_done < proc->opt.input_bytes)
        put = write(proc->in.fd, proc->opt.input + proc->in_done,
                    proc->opt.input_bytes - proc->in_done);
    if (put > 0)
        proc->in_done += (size_t)put;
    if (put < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    /* A tool need not read its input: EPIPE is no error. */
    if (put < 0 || proc->in_done == proc->opt.input_bytes)
        close_watch(proc, &proc->in);
}

static void out_room(struct proc *proc)
{
    if (proc->out_cap - proc->out_len > 1)
        return;
    proc->out_cap  = proc->out_cap ? proc->out_cap * 2 : FIRST_OUT;
    proc->out_text = realloc(proc->out_text, proc->out_cap);
    if (!proc->out_text)
        abort(); /* as everywhere in lib/: without memory there is nothing sensible left to do */
}

/* False: nothing more to read now. */
static bool read_out(struct proc *proc)
{
    ssize_t got;

    out_room(proc);
    got = read(proc->out.fd, proc->out_text + proc->out_len, proc->out_cap - proc->out_len - 1);
    if (got < 0 && errno == EINTR)
        return true;
    if (got < 0 && errno == EAGAIN)
        return false;
    if (got <= 0) {
        close_watch(proc, &proc->out);
        return false;
    }
    proc->out_len += (size_t)got;
    if (proc->out_len > proc->opt.stdout_most) {
        end_by(proc, PROC_FLOODED, SIGKILL);
        close_watch(proc, &proc->out);
        return false;
    }
    return true;
}

static void on_stdout(void *ctx, uint32_t events)
{
    (void)events;
    (void)read_out(ctx);
}

static void line_done(struct proc *proc)
{
    proc->line[proc->line_len] = '\0';
    if (proc->line_len > 0 && proc->line[proc->line_len - 1] == '\r')
        proc->line[--proc->line_len] = '\0';
    if (proc->line_len > 0 && !(proc->opt.on_line && proc->opt.on_line(proc->opt.ctx, proc->line)))
        memcpy(proc->last_line, proc->line, proc->line_len + 1);
    proc->line_len = 0;
}

static void take_err(struct proc *proc, const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] == '\n')
            line_done(proc);
        else if (proc->line_len < PROC_LINE_MAX - 1)
            proc->line[proc->line_len++] =
                text[i] ? text[i] : ' '; /* a NUL must not hide the rest */
    }
}

static bool read_err(struct proc *proc)
{
    char    text[4096];
    ssize_t got = read(proc->err.fd, text, sizeof text);

    if (got < 0 && errno == EINTR)
        return true;
    if (got < 0 && errno == EAGAIN)
        return false;
    if (got <= 0) {
        close_watch(proc, &proc->err);
        return false;
    }
    take_err(proc, text, (size_t)got);
    return true;
}

static void on_stderr(void *ctx, uint32_t events)
{
    (void)events;
    (void)read_err(ctx);
}

static void proc_free(struct proc *proc)
{
    loop_timer_stop(proc->loop, &proc->timer);
    close_watch(proc, &proc->ended);
    close_watch(proc, &proc->in);
    close_watch(proc, &proc->out);
    close_watch(proc, &proc->err);
    spawn_forget(proc->report);
    free(proc->out_text);
    free(proc);
}

/* What was written before the end is in the pipes now; a pipe holds at most some 64 KiB, a page
 * each for lines. */
static void drain(struct proc *proc)
{
    for (int i = 0; i < 64 && proc->out.fd >= 0 && read_out(proc); i++)
        continue;
    for (int i = 0; i < 64 && proc->err.fd >= 0 && read_err(proc); i++)
        continue;
    line_done(proc);
}

static enum proc_cause cause_of(const struct proc *proc, int status)
{
    bool gave_up = WIFEXITED(status) && WEXITSTATUS(status) == SPAWN_EXIT_SETUP;

    if (proc->cause == PROC_EXITED && proc->report->excess != SPAWN_NO_EXCESS)
        return PROC_EXCESSIVE;
    if (proc->cause != PROC_EXITED || !gave_up || proc->report->step == SPAWN_RUNNING)
        return proc->cause;
    return proc->report->step == SPAWN_NOT_RUN ? PROC_NOT_RUN : PROC_NOT_SET_UP;
}

static void on_ended(void *ctx, uint32_t events)
{
    struct proc    *proc = ctx;
    struct proc_end end  = { 0 };
    pid_t           found;

    (void)events;
    signal_group(proc, SIGKILL); /* whoever it left behind */
    while ((found = waitpid(proc->pid, &end.status, 0)) < 0 && errno == EINTR)
        continue;
    if (found < 0)
        end.status = W_EXITCODE(EXIT_FAILURE, 0); /* how it ended is not known: not well */
    if (found > 0 && proc->report->has_status)    /* of the program, where its watcher saw it end */
        end.status = proc->report->status;
    proc->pid = 0;
    loop_timer_stop(proc->loop, &proc->timer);
    drain(proc);
    out_room(proc);
    proc->out_text[proc->out_len] = '\0';
    end.cause                     = cause_of(proc, end.status);
    end.excess                    = proc->report->excess;
    end.out                       = proc->out_text;
    end.out_bytes                 = proc->out_len;
    end.last_line                 = proc->last_line;
    proc->opt.on_end(proc->opt.ctx, &end);
    proc_free(proc);
}

static bool watch(struct proc *proc, struct loop_watch *w, int *fd, uint32_t events,
                  void (*on_event)(void *, uint32_t), struct err *err)
{
    w->on_event = on_event;
    w->ctx      = proc;
    if (!loop_add(proc->loop, w, *fd, events, err)) {
        w->fd = -1;
        return false;
    }
    *fd = -1; /* the watch's now */
    return true;
}

static bool watch_all(struct proc *proc, struct spawned *child, struct err *err)
{
    if (proc->opt.input_bytes > 0
        && !watch(proc, &proc->in, &child->stdin_fd, EPOLLOUT, on_stdin, err))
        return false;
    return watch(proc, &proc->out, &child->stdout_fd, EPOLLIN, on_stdout, err)
           && watch(proc, &proc->err, &child->stderr_fd, EPOLLIN, on_stderr, err)
           && watch(proc, &proc->ended, &child->pidfd, EPOLLIN, on_ended, err);
}

static void close_rest(struct spawned *child)
{
    int fds[] = { child->stdin_fd, child->stdout_fd, child->stderr_fd, child->pidfd };

    for (size_t i = 0; i < countof(fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

struct proc *proc_start(struct loop *loop, const struct proc_options *opt, struct err *err)
{
    struct spawned child;
    struct proc   *proc = calloc(1, sizeof *proc);

    if (!proc)
        abort();
    proc->loop     = loop;
    proc->opt      = *opt;
    proc->timer    = (struct loop_timer) { .on_time = on_time, .ctx = proc };
    proc->ended.fd = proc->in.fd = proc->out.fd = proc->err.fd = -1;
    if (!spawn_start(&opt->spawn, &child, err)) {
        free(proc);
        return NULL;
    }
    proc->pid    = child.pid;
    proc->report = child.report;
    if (!watch_all(proc, &child, err)) {
        signal_group(proc, SIGKILL);
        waitpid(proc->pid, NULL, 0);
        close_rest(&child);
        proc_free(proc);
        return NULL;
    }
    close_rest(&child); /* stdin, where there is nothing to say: the tool sees its end at once */
    loop_timer_set(loop, &proc->timer, opt->timeout_ms);
    return proc;
}

void proc_stop(struct proc *proc)
{
    if (!proc->is_ending)
        end_by(proc, PROC_STOPPED, SIGTERM);
}

void proc_kill(struct proc *proc)
{
    end_by(proc, PROC_STOPPED, SIGKILL);
}

void proc_abandon(struct proc *proc)
{
    proc_kill(proc);
    while (waitpid(proc->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    proc->pid = 0;
    proc_free(proc);
}
