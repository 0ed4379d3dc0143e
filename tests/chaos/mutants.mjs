// What protects us, taken away: with one of these the same storms have to find something, or they see nothing.
async function replace(world, signature, changes) {
    let text = await world.ask(`select pg_get_functiondef('${signature}'::regprocedure)`);
    for (const [pattern, by] of changes) {
        if (!pattern.test(text)) throw new Error(`${signature} has no ${pattern}: the mutant has to follow the code`);
        text = text.replace(pattern, by);
    }
    await world.ask(text);
}

export const mutants = {
    /** A runner's outcome counts whoever holds the task by now. */
    async no_fence(world) {
        await replace(world, 'kiln_internal.finish_task(bigint,bigint,text)', [[/and t\.fence = p_fence\s/, ' ']]);
        await replace(world, 'kiln_internal.finish_tasks(bigint[],bigint[],text[])', [[/and t\.fence = any \(p_fences\)/, '']]);
    },
    /** As if a call were not written down before it is sent: after a crash the next one knows of none, and sends. */
    async no_intent(world) {
        await replace(world, 'kiln_internal.mark_call_unknown(kiln.task,kiln.job,kiln.stage,kiln.provider,kiln.call,text,boolean)', [[/if not p_provider\.is_paid then\n/, 'if true then\n']]);
    },
};
