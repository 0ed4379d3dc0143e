/*
 * failpoint: named places where a test can make a program die, stop or err.
 *
 *   FAILPOINT("runner.claimed"); one place: what is committed or sent there stands in
 *   failpoints.def
 *   if (FAILPOINT_FAILS("store.writing"))   where a test may also ask for an error
 *
 * Without -DKILN_FAILPOINTS (make FLAVOUR=chaos) both are nothing at all. With it:
 *   KILN_FAILPOINT         name[:nth]:action; the nth hit (1) of this process does it, once
 *   KILN_FAILPOINT_PAGE a file the driver writes: 8 bytes of a number that grows, then such a text;
 *   taken up
 *                          by programs that already run, as soon as the number changes
 *   KILN_FAILPOINT_SOCKET  a unix stream socket, for tell
 *   KILN_FAILPOINT_HITS    a file of one 64-bit count a name, in the order of failpoints.def
 * Actions: kill  SIGKILL of this process
 *          stop  SIGSTOP: until somebody continues it
 *          tell writes "name pid\n" to the socket and waits for a byte: e = error, all else goes
 *          on. So the
 *                driver can kill or cut anything (a backend, the server, a provider) exactly here
 *          error what FAILPOINT_FAILS returns true for
 *
 * tests/shell/failpoint_test.sh sees to it that every statement and every network request has a
 * place before it, each statement's answer one after it, and that each name is used.
 */
#ifndef KILN_FAILPOINT_H
#define KILN_FAILPOINT_H

#include <stdbool.h>

#ifdef KILN_FAILPOINTS
#define FAILPOINT_FAILS(name)               \
    ({                                      \
        static int failpoint_at = -1;       \
        failpoint_hit(&failpoint_at, name); \
    })
#define FAILPOINT(name) ((void)FAILPOINT_FAILS(name))

/* *at: the place's row in the table once it is known, -1 before. True: an error is wanted. */
bool failpoint_hit(int *at, const char *name);
#else
#define FAILPOINT_FAILS(name) false
#define FAILPOINT(name)       ((void)0)
#endif

#endif
