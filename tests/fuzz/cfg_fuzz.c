/*
 * cfg: any environment is either taken, with every number inside its bounds, or refused with a
 * sentence.
 */
#include "lib/cfg.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    char       *text     = malloc(count + 1);
    const char *pairs[9] = { 0 };
    struct cfg  cfg;
    struct err  err = { 0 };
    size_t      n   = 0;
    char       *rest;

    memcpy(text, bytes, count);
    text[count] = '\0';
    for (char *line = strtok_r(text, "\n", &rest); line && n < 8;
         line       = strtok_r(NULL, "\n", &rest))
        pairs[n++] = line;
    if (cfg_load_from(&cfg, pairs, &err)) {
        if (cfg.port < 1 || cfg.port > 65535 || cfg.db_writers < 1 || cfg.upload_max_bytes < 1
            || !cfg.listen_url || (cfg.jwt_secret[0] && strlen(cfg.jwt_secret) < 32))
            __builtin_trap();
    } else if (strcmp(err.sqlstate, "F0000") != 0 || !err.message[0]) {
        __builtin_trap();
    }
    free(text);
    return 0;
}
