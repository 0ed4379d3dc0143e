/*
 * answer: what came back for a request, as the JSON that call_answer() and poll_answers() take.
 */
#ifndef RUNNER_ANSWER_H
#define RUNNER_ANSWER_H

#include "lib/jbuf.h"
#include "pipeline_runner/http/transfer.h"

/* One object. call_id and kind as the step gave them; ids of media that came inside the reply. */
void answer_write(struct jbuf *out, const char *call_id, const char *kind,
                  const struct transfer_end *end, const char *media_ids_json);

/* The same for what never became an exchange, or whose reply was lost here. */
void answer_error(struct jbuf *out, const char *call_id, const char *kind, int status,
                  const char *code, const char *message, bool was_sent);

#endif
