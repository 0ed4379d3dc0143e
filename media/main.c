/*
 * kiln-media: the embedded provider `local` and the judge of media files. See ops.h for what it
 * makes and probe.h for what it tells; request.h for how it is asked.
 */
#include <stdio.h>
#include <string.h>

#include "lib/base.h"
#include "media/cli.h"

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        puts("kiln-media " KILN_VERSION);
        return EXIT_OK;
    }
    if (cli_start(argv[0]) != 0) {
        fprintf(stderr, "libvips does not start\n");
        return 75;
    }
    return cli_run(argc, argv, stdin, stdout, stderr);
}
