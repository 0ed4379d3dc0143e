/*
 * hostile: a program that tries to get out of the sandbox in every way it can think of.
 *
 * It runs in the sandbox, from a copy of the test's own program: hostile_main() is its main(). It
 * prints one line a trick that did harm, and at the end how many it tried.
 */
#ifndef TESTS_HOSTILE_H
#define TESTS_HOSTILE_H

/* argv: "hostile", root of the world, process of the runner, TCP port, name of an abstract
 * socket. */
int hostile_main(int argc, char **argv);

/* "execute": what it wrote itself; 77 where it cannot. "bomb", "fill", "fill-unnamed",
 * "many-files", "deep", "daemon": one harm at a time. */
int hostile_excess(const char *how);

#endif
