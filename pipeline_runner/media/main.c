/*
 * kiln-media: the embedded provider `local` and the judge of media files. See ops.h for what it makes and probe.h for
 * what it tells; request.h for how it is asked.
 */
#include <stdio.h>

#include "cli.h"

int main(int argc, char **argv)
{
    if (cli_start(argv[0]) != 0) {
        fprintf(stderr, "libvips does not start\n");
        return 75;
    }
    return cli_run(argc, argv, stdin, stdout, stderr);
}
