/*
 * runner: every statement that kiln-runner sends, in one table. All are prepared at start; one that
 * the database does not have in this form ends the program with a sentence (exit 76).
 */
#include "pipeline_runner/context/runner.h"

const struct db_statement runner_statements[ST_COUNT] = {
    [ST_REGISTER] = { "register",
                      "select kiln_runner.register($1::text, $2::text, $3::int, $4::text, $5::text[], $6::int, $7::text)",
                      7 },
    [ST_CYCLE]    = { "cycle",
                      "select task_id, fence, job_id, queue_id, stage, stage_name, attempt, handler, config, input, media,"
                         " timeout_ms from kiln_runner.cycle($1::bigint, $2::bigint[], $3::bigint[], $4::text[], $5::int,"
                         " $6::int[], $7::boolean)",
                      7 },
    [ST_COMPLETE] = { "complete", "select kiln_runner.complete($1::bigint, $2::bigint, $3::text)",
                      3 },
    [ST_PROGRESS] = { "progress",
                      "select kiln_runner.progress($1::bigint, $2::bigint, $3::float8, $4::text)",
                      4 },
    [ST_FAIL]     = { "fail",
                      "select kiln_runner.fail($1::bigint, $2::bigint, $3::text, $4::text, $5::int)",
                      5 },
    [ST_RELEASE] = { "release", "select kiln_runner.release($1::bigint, $2::bigint, $3::text)", 3 },
    [ST_PUT_MEDIA]  = { "put_media",
                        "select kiln_runner.put_media($1::bigint, $2::bigint, $3::jsonb)", 3 },
    [ST_HEARTBEAT]  = { "beat", "select task_id, fence, reason from kiln_runner.beat($1::bigint)",
                        1 },
    [ST_TICK]       = { "tick", "select kiln_runner.tick($1::bigint)", 1 },
    [ST_UNREGISTER] = { "unregister", "select kiln_runner.unregister($1::bigint)", 1 },
    [ST_TRASH]      = { "trash", "select storage_key from kiln_runner.trash($1::int)", 1 },
    [ST_TRASH_DONE] = { "trash_done", "select kiln_runner.trash_done($1::text[])", 1 },
    [ST_STRAYS]     = { "strays",
                        "select storage_key from kiln_runner.orphans($1::text[], $2::bigint[])", 2 },
    /* The step, and apart from it its output as SQL wrote it: C has no type for every number that
     * may be in there. */
    [ST_BEGIN_CALL]   = { "begin_call",
                          "select s::jsonb - 'output', s -> 'output' from kiln_runner.begin_call($1::bigint, $2::bigint,"
                            " $3::boolean) as s",
                          3 },
    [ST_CALL_ANSWER]  = { "call_answer",
                          "select s::jsonb - 'output', s -> 'output' from kiln_runner.call_answer($1::bigint, $2::bigint,"
                           " $3::bigint, $4::json) as s",
                          4 },
    [ST_TAKE_POLLS]   = { "claim_polls", "select kiln_runner.claim_polls($1::bigint, $2::int)", 2 },
    [ST_POLL_ANSWERS] = { "poll_answers", "select kiln_runner.poll_answers($1::json)", 1 },
    [ST_TAKE_DELIVERIES]  = { "claim_deliveries",
                              "select kiln_runner.claim_deliveries($1::bigint, $2::int, $3::text)",
                              3 },
    [ST_DELIVERY_ANSWERS] = { "delivery_answers", "select kiln_runner.delivery_answers($1::json)",
                              1 },
    [ST_SECRETS_WANTED]   = { "required_secrets", "select unnest(kiln_runner.required_secrets())",
                              0 },
    [ST_OFFER_SECRETS]    = { "offer_secrets",
                              "select unnest(kiln_runner.offer_secrets($1::bigint, $2::text[]))", 2 },
    [ST_WEBHOOK_KEYS_WANTED] = { "required_webhook_keys",
                                 "select kiln_runner.required_webhook_keys()", 0 },
    [ST_STORE_WEBHOOK_KEYS]  = { "store_webhook_keys",
                                 "select kiln_runner.store_webhook_keys($1::text, $2::json)", 2 },
};

void runner_listen(struct runner *runner, struct runner_listener *listener)
{
    listener->next    = runner->listeners;
    runner->listeners = listener;
}

void runner_tell(const struct runner *runner, enum runner_event event)
{
    for (const struct runner_listener *l = runner->listeners; l; l = l->next)
        l->on_event(l->ctx, event);
}
