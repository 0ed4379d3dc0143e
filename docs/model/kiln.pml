/*
 * kiln.pml: one task of one job, from claim to result, while everything around it fails. Checked by Spin (./check).
 *
 * Two runners may crash, freeze and thaw at any step. The database is atomic steps: what stands in one atomic block is one
 * transaction. The provider may lose the request, lose the reply, refuse, answer nonsense after it took the work, forget what
 * it took, answer late, send its webhook before the reply, after it, twice, never. A person may cancel, resume, resend, fail, adopt.
 *
 * Of each mishap Spin tries every place; only their number is bounded (FAULTS), and so every run comes to rest. Where a run
 * rests, the job has ended or is held: that is the claim "none is lost". The claim "none is paid twice" is in charge().
 *
 * Switches: KEY, LOOKUP (the provider's powers) and RETRY (on_unknown: retry) are 0 or 1. Each word in capitals behind an #ifdef
 * takes one rule away (./check lists them), and Spin must then find a run that does harm.
 */
#ifndef KEY
#define KEY    0
#endif
#ifndef LOOKUP
#define LOOKUP 0
#endif
#ifndef RETRY
#define RETRY  0
#endif
#ifndef FAULTS
#define FAULTS 3
#endif
#ifndef CALLS
#define CALLS  2                /* so many calls at most: the stage's max_attempts */
#endif
#define DEAD   2                /* the runner that the task's lease names has crashed; 0 and 1 are the living ones */

mtype = { NONE, READY, RUNNING, WAITING, HELD, DONE, FAILED, CANCELLING, CANCELLED,     /* of jobs and tasks */
          OPEN, ACCEPTED, UNKNOWN, SETTLED,                                             /* of calls */
          SUCCEEDED, NOT_TAKEN,                                                         /* outcomes; FAILED too */
          IDLE, CLAIMED, TOLD, CHECKED, HALF, SENT, KEEP, REPORT, FETCH,                /* where a runner is */
          QUEUED, INLINE, REFUSED, NOTHING, UNCLEAR };                                  /* replies, and what C makes of silence */

/* --- the database -------------------------------------------------------------------------------------------------- */

typedef call_row {
    mtype state = NONE;
    mtype outcome = NONE;
    bit   many;                 /* was sent more than once (sends > 1) */
    bit   kept;                 /* its result is in our store, or at an URL of the provider's */
    bit   billed                /* the ledger has its line */
};
mtype    job = RUNNING;
mtype    task = RUNNING;          /* runner 0 has it: the two are alike */
byte     owner;                 /* task_running.runner_id */
bit      mine[2];          /* this runner's fence is the one on the task's row */
bit      begun[2];              /* the open call was begun under this runner's fence, and sent once */
byte     calls;                 /* begun so far; all but the last are settled (the unique index) */
call_row call[CALLS];
#define  last    call[calls - 1]
#define  is_open (calls > 0 && last.state == OPEN)

/* Time, as far as rules ask for it. since_send, of the last send: 0 before send_before, 1 before timeout_at, 2 after it.
   key_age: 0 a send begun now is over before the ttl is; 1 the key lives, but no longer than such a send may; 2 it is over. */
byte since_send, key_age;
bit  overtime;                  /* the last send was begun at key_age 1 or later: only where a rule is missing */

/* --- the runners --------------------------------------------------------------------------------------------------- */

mtype at[2] = IDLE;
mtype answer[2] = NONE;
byte  my[2];                    /* the call it was told of */
byte  left[2];                  /* by its own clock: 2 the first byte may go, 1 the rest of the body, 0 neither */
bit   frozen[2];
bit   late, gone;               /* the owner has not beaten for a lease: as the database sees it, and as it is */
bit   steady[2] = 1;            /* this runner's beats came without a gap for one whole lease */
#define runs(r) (!frozen[r])

/* --- the provider -------------------------------------------------------------------------------------------------- */

typedef request {
    bit   under_way;            /* in the network */
    bit   taken;                /* arrived; from here a lookup finds it */
    bit   charged;
    bit   forgot;               /* the key's ttl is over */
    bit   vanished;             /* taken, and never heard of again */
    mtype reply = NONE;
    mtype end = NONE;
    byte  hooks                 /* webhooks still to come */
};
request at_provider[CALLS];

/* --- bookkeeping of the model -------------------------------------------------------------------------------------- */

byte faults = FAULTS, words = 1, charges, allowed = 1;
bit  rested;
bit  told[CALLS];               /* a runner has said that the provider took it */
mtype lookup = NONE;            /* the answer of a lookup, not recorded yet */
bit  lookup_counts;             /* it was asked after the latest send's timeout_at */

#define mishap faults > 0 -> faults--

/* Where every double payment ends. */
inline charge(c)
{
    charges++;
    at_provider[c].charged = 1;
    assert(charges <= allowed)                              /* not twice without someone's word */
}

/* --- SQL: what becomes of the task ---------------------------------------------------------------------------------- */

inline leave_runner()
{
    mine[0] = 0; mine[1] = 0; begun[0] = 0; begun[1] = 0;
    late = 0; gone = 0; steady[0] = 1; steady[1] = 1        /* nobody's lease matters until the next claim */
}

inline stop_job() { leave_runner(); task = CANCELLED; job = CANCELLED }

inline make_ready()                                         /* kiln_internal.propagate_task_moves: a job that stops takes its task along */
{
    if
    :: job == CANCELLING -> stop_job()
    :: else -> leave_runner(); task = READY; job = RUNNING
    fi
}

inline make_waiting()
{
    if
    :: job == CANCELLING -> stop_job()                      /* its call is followed to the end, for the bill */
    :: else -> leave_runner(); task = WAITING; job = RUNNING
    fi
}

inline hold()
{
    leave_runner();
    /* Held only what cannot be known: nobody told us, and there is nobody to ask. */
    assert(!told[calls - 1] || last.state == ACCEPTED);
    assert(!LOOKUP || last.state == ACCEPTED);
    assert(!KEY || key_age > 0 || job == CANCELLING || last.state == ACCEPTED);
    task = HELD; job = HELD
}

inline fail_job()
{
    assert(last.state == SETTLED && last.outcome != SUCCEEDED);         /* nothing that was paid, or may be, is thrown away */
    leave_runner();
    task = FAILED;
    job = (job == CANCELLING -> CANCELLED : FAILED)
}

inline another_try()
{
    if
    :: calls < CALLS -> make_ready()
    :: else -> fail_job()
    fi
}

/* --- SQL: what becomes of a call ------------------------------------------------------------------------------------ */

inline end_call(c, how)
{
    call[c].state = SETTLED;
    call[c].outcome = how;
    key_age = 0;
#ifndef NO_INTENT
    assert(!call[c].billed);                                /* one line a call in the ledger */
#endif
    call[c].billed = 1;
    if
    :: how == FAILED && at_provider[c].charged -> allowed++ /* a failure that the description allows to repeat */
    :: else
    fi
}

/* The task that waits, or is held, for this call goes on. One that a runner has, or that is ready, finds it in begin_call. */
inline go_on(c)
{
    if
    :: c == calls - 1 && (task == WAITING || task == HELD) ->
        if
        :: call[c].outcome == SUCCEEDED -> make_ready()
        :: else -> another_try()
        fi
    :: else
    fi
}

inline accept(c)
{
    call[c].state = ACCEPTED;
    key_age = 0;
    if
    :: task == HELD -> make_waiting()
    :: else
    fi
}

/* Polls and webhooks: what the provider says at the end. Any time, any number of times. */
inline record_end(c)
{
    if
#ifdef WEBHOOK_NOT_IDEMPOTENT
    :: true ->
#else
    :: call[c].state != SETTLED ->
#endif
        call[c].kept = 1;
        end_call(c, at_provider[c].end);
        go_on(c)
    :: else                                                 /* we had given it up, or know it: kiln.waste shows the money */
    fi
}

inline tell_to_send(r)
{
    assert(job != CANCELLING);                              /* nothing is sent for a job that was told to stop */
    since_send = 0;
#ifdef TIMES_NOT_RENEWED
    since_send = (last.many -> 2 : 0);
#endif
    left[r] = 2;
    my[r] = calls - 1;
    at_provider[calls - 1].reply = NONE;
    lookup_counts = 0;
    overtime = (key_age > 0);
    at[r] = TOLD
}

inline new_call(r)
{
    calls++;
    last.state = OPEN;
    key_age = 0;
    begun[r] = 1;
    tell_to_send(r)
}

#ifdef KEY_AFTER_TTL
#define may_send_again KEY
#else
#ifdef KEY_TTL_BY_NOW
#define may_send_again (KEY && key_age < 2)                 /* asks for now, where it should ask for the new timeout_at */
#else
#define may_send_again (KEY && key_age == 0)
#endif
#endif

/* An open call of which nobody knows whether the provider has it; this runner has the task. */
inline ask_or_hold(r)
{
    if
#ifdef RESEND_WHILE_STOPPING
    :: may_send_again ->
#else
    :: may_send_again && job != CANCELLING ->               /* the very same request; while it stops, it might be the first to arrive */
#endif
        last.many = 1;
#ifdef NEW_KEY_EACH_SEND
        at_provider[calls - 1].forgot = 1;
#endif
        tell_to_send(r)
    :: else ->
        at[r] = IDLE;
        if
#ifdef UNKNOWN_IS_TRANSIENT
        :: true -> end_call(calls - 1, FAILED); another_try()
#else
        :: LOOKUP -> make_waiting()                         /* until timeout_at; then look_up() */
        :: !LOOKUP && RETRY -> allowed++; end_call(calls - 1, FAILED); another_try()
        :: !LOOKUP && !RETRY -> last.state = UNKNOWN; hold()
#endif
        fi
    fi
}

/* kiln_runner.begin_call: first for a new call, and first after a crash. */
inline begin_call(r)
{
    if
#ifdef NO_FENCE
    :: task != RUNNING -> at[r] = IDLE
#else
    :: !mine[r] -> at[r] = IDLE                             /* KN010 */
#endif
    :: else ->
        assert(mine[r]);                                    /* a stale fence writes nothing */
        if
        :: calls == 0 || (last.state == SETTLED && last.outcome != SUCCEEDED) ->
            if
            :: job == CANCELLING -> stop_job(); at[r] = IDLE
            :: job != CANCELLING && calls == CALLS -> fail_job(); at[r] = IDLE          /* its call failed while nobody had the task */
            :: job != CANCELLING && calls < CALLS -> new_call(r)
            fi
        :: calls > 0 && last.state == SETTLED && last.outcome == SUCCEEDED -> my[r] = calls - 1; at[r] = FETCH
        :: calls > 0 && last.state == ACCEPTED -> make_waiting(); at[r] = IDLE
#ifdef RESUME_PAYS
        :: calls > 0 && last.state == UNKNOWN && calls < CALLS -> end_call(calls - 1, FAILED); new_call(r)
#else
        :: calls > 0 && last.state == UNKNOWN -> last.state = OPEN; ask_or_hold(r)      /* resume_job is no resend: held again, or asked */
#endif
        :: is_open && begun[r] && !last.many ->             /* our own answer was lost: it never got the step, so nothing was sent */
#ifdef BEGIN_TWICE_HOLDS
            assert(false);                                  /* nobody is held because an answer of the database was lost */
#endif
            if
            :: job == CANCELLING -> end_call(calls - 1, NOT_TAKEN); stop_job(); at[r] = IDLE
            :: else -> tell_to_send(r)
            fi
        :: is_open && !(begun[r] && !last.many) -> ask_or_hold(r)
        fi
    fi
}

/* kiln_runner.call_answer: what the runner heard is recorded under any fence; what follows for the task, only under its own. */
inline call_answer(r, c)
{
    told[c] = told[c] || answer[r] == QUEUED || answer[r] == INLINE;
    if
    :: call[c].state != OPEN && call[c].state != UNKNOWN && !(call[c].state == ACCEPTED && answer[r] == INLINE)
    :: else ->
        if
#ifdef STALE_ACCEPT_DROPPED
        :: !mine[r]
        :: mine[r] && answer[r] == QUEUED -> accept(c)
        :: mine[r] && answer[r] == INLINE -> end_call(c, SUCCEEDED); go_on(c)
#else
        :: answer[r] == QUEUED -> accept(c)
        :: answer[r] == INLINE -> end_call(c, SUCCEEDED); go_on(c)
#endif
#ifdef NO_AFTER_RESEND
        :: (answer[r] == NOTHING || answer[r] == REFUSED) -> end_call(c, NOT_TAKEN); go_on(c)
#else
        /* It speaks for its own send only: of a call that was sent twice it settles nothing. */
        :: (answer[r] == NOTHING || answer[r] == REFUSED) && !call[c].many -> end_call(c, NOT_TAKEN); go_on(c)
        :: (answer[r] == NOTHING || answer[r] == REFUSED) && call[c].many
#endif
        :: answer[r] == UNCLEAR
        fi
    fi;
    if
#ifdef NO_FENCE
    :: task != RUNNING -> at[r] = IDLE
#else
    :: !mine[r] -> at[r] = IDLE
#endif
    :: else ->
        assert(mine[r]);                                    /* a stale fence writes nothing */
        if
        :: call[c].state == OPEN -> ask_or_hold(r)
        :: call[c].state == ACCEPTED -> make_waiting(); at[r] = IDLE
        :: call[c].state == SETTLED && call[c].outcome == SUCCEEDED -> at[r] = FETCH
        :: call[c].state == SETTLED && call[c].outcome != SUCCEEDED -> another_try(); at[r] = IDLE
        fi
    fi;
    answer[r] = NONE;
    if
    :: at[r] == IDLE -> my[r] = 0; left[r] = 0
    :: at[r] == FETCH -> left[r] = 0
    :: else
    fi;
    assert(!told[c] || call[c].state == ACCEPTED || call[c].state == SETTLED)           /* what we were told is recorded */
}

/* The stage is done; files are in the store, and the completion carries the fence. */
inline complete(r)
{
    if
#ifdef NO_FENCE
    :: task != RUNNING
#else
    :: !mine[r]                                             /* KN010 */
#endif
    :: else ->
        assert(mine[r]);                                    /* a stale fence writes nothing */
        assert(call[my[r]].kept);                           /* there is something to fetch */
        leave_runner();
        task = DONE;
        job = DONE
    fi;
    at[r] = IDLE; my[r] = 0
}

/* --- a runner ------------------------------------------------------------------------------------------------------ */

proctype runner(byte me)
{
    do
    :: atomic { runs(me) && at[me] == IDLE && task == READY ->                          /* kiln_runner.claim */
        task = RUNNING; owner = me; mine[me] = 1; at[me] = CLAIMED }

    :: atomic { runs(me) && at[me] == CLAIMED ->
#ifdef NO_INTENT
        if                                                  /* sends first, and writes the call down when it has the answer */
        :: calls == 0 && mine[me] -> my[me] = 0; left[me] = 2; at[me] = TOLD
        :: else -> begin_call(me)
        fi
#else
        begin_call(me);
        if
        :: true
        :: at[me] == TOLD && begun[me] && mishap; at[me] = CLAIMED                      /* committed, but we were not told: ask again */
        fi
#endif
        }

    /* The last look at the clock and the first byte are one step: see README.md for what that takes. */
#ifdef CHECK_THEN_FREEZE
    :: atomic { runs(me) && at[me] == TOLD && left[me] == 2 -> at[me] = CHECKED }
    :: atomic { runs(me) && at[me] == CHECKED ->
#else
#ifdef NO_SEND_BEFORE
    :: atomic { runs(me) && at[me] == TOLD ->
#else
    :: atomic { runs(me) && at[me] == TOLD && left[me] == 2 ->
#endif
#endif
#if !defined(NO_SEND_BEFORE) && !defined(CHECK_THEN_FREEZE)                             /* (those are to show the harm itself) */
        assert(left[me] == 2);                              /* nothing is sent after send_before */
#endif
        at[me] = HALF }
    :: atomic { runs(me) && at[me] == TOLD && left[me] < 2 -> answer[me] = NOTHING; at[me] = REPORT }
    :: atomic { runs(me) && at[me] == TOLD && mishap; answer[me] = NOTHING; at[me] = REPORT }       /* no connection */

#if defined(BODY_WITHOUT_CLOCK) || defined(NO_SEND_BEFORE) || defined(CHECK_THEN_FREEZE)
    :: atomic { runs(me) && at[me] == HALF ->
#else
    :: atomic { runs(me) && at[me] == HALF && left[me] > 0 ->
#endif
        at_provider[my[me]].under_way = 1; at[me] = SENT }
    :: atomic { runs(me) && at[me] == HALF && left[me] == 0 -> answer[me] = UNCLEAR; at[me] = REPORT }

    :: atomic { runs(me) && at[me] == SENT && at_provider[my[me]].reply != NONE ->
        answer[me] = at_provider[my[me]].reply;
        at_provider[my[me]].reply = NONE;
        at[me] = (answer[me] == INLINE -> KEEP : REPORT) }
    :: atomic { runs(me) && at[me] == SENT && left[me] == 0 && !at_provider[my[me]].under_way -> answer[me] = UNCLEAR; at[me] = REPORT }     /* time-out */
    :: atomic { runs(me) && at[me] == SENT && mishap; answer[me] = UNCLEAR; at[me] = REPORT }              /* the link is lost */

    /* A result inside the reply is stored before the answer is reported. */
#ifdef SETTLE_BEFORE_STORED
    :: atomic { runs(me) && at[me] == KEEP && !call[my[me]].billed -> call_answer(me, my[me]);
        if
        :: at[me] == FETCH -> at[me] = KEEP; answer[me] = INLINE
        :: else
        fi }
    :: atomic { runs(me) && at[me] == KEEP && call[my[me]].billed -> call[my[me]].kept = 1; answer[me] = NONE; at[me] = FETCH }
#else
    :: atomic { runs(me) && at[me] == KEEP -> call[my[me]].kept = 1; at[me] = REPORT }
#endif

    :: atomic { runs(me) && at[me] == REPORT ->
#ifdef NO_INTENT
        if
        :: calls == 0 -> calls = 1; last.state = OPEN
        :: else
        fi;
#endif
        call_answer(me, my[me]) }

    :: atomic { runs(me) && at[me] == FETCH -> complete(me) }

    /* Leases. A beat is a sign of life; the lease itself is in world(). */
    :: atomic { runs(me) && task == RUNNING && owner == me && late -> late = 0; gone = 0 }
#ifdef SWEEP_WHILE_BLIND
    :: atomic { runs(me) && task == RUNNING && owner != me && late ->
#else
    :: atomic { runs(me) && task == RUNNING && owner != me && late && steady[me] ->
#endif
        assert(gone);                                       /* an outage of the database evicts nobody */
        make_ready() }

    :: atomic { rested -> break }
    od
}

/* --- what happens to them ------------------------------------------------------------------------------------------- */

#define stopped   (owner == DEAD || (owner == 0 && frozen[0]) || (owner == 1 && frozen[1]))

#define in_flight(r)  (at[r] == TOLD || at[r] == CHECKED || at[r] == HALF || at[r] == SENT)
#define clock_matters (last.state == OPEN || last.state == UNKNOWN || in_flight(0) || in_flight(1))
#define quick(r)      (!frozen[r] && in_flight(r) && (at[r] != SENT || at_provider[my[r]].reply != NONE))
#if CALLS == 2
#define net_busy      (at_provider[0].under_way || at_provider[1].under_way)
#else
#define net_busy      (at_provider[0].under_way || at_provider[1].under_way || at_provider[2].under_way)
#endif

proctype world()
{
    byte r;
    do
    :: atomic { !rested && mishap;                          /* a crash: what it held in memory is lost; it starts again under another id */
        if :: r = 0 :: r = 1 fi;
        if
        :: task == RUNNING && owner == r -> owner = DEAD; late = 0; gone = 1
        :: else
        fi;
        at[r] = IDLE; answer[r] = NONE; mine[r] = 0; begun[r] = 0; left[r] = 0; my[r] = 0; frozen[r] = 0; r = 0 }
    :: atomic { !frozen[0] && at[0] != IDLE && mishap; frozen[0] = 1 }
    :: atomic { !frozen[1] && at[1] != IDLE && mishap; frozen[1] = 1 }
    :: atomic { frozen[0] -> frozen[0] = 0 }
    :: atomic { frozen[1] -> frozen[1] = 0 }
    :: atomic { task == RUNNING && mishap;                  /* an outage of the database, of a lease or more */
        late = 1; steady[0] = 0; steady[1] = 0 }

    /* A lease passes while the database is there: whoever is not frozen has beaten all the time. */
    :: atomic { task == RUNNING && (late != stopped || steady[0] == frozen[0] || steady[1] == frozen[1]) ->
        late = stopped; gone = stopped; steady[0] = !frozen[0]; steady[1] = !frozen[1] }

    /* The clock of the last send. It waits for whoever is quick: a runner that is not frozen, a network that does not lose. */
    :: atomic { calls > 0 && since_send == 0 && clock_matters && !quick(0) && !quick(1) ->
        since_send = 1;
        left[0] = (left[0] == 2 -> 1 : left[0]); left[1] = (left[1] == 2 -> 1 : left[1]) }
    :: atomic { calls > 0 && since_send == 1 && clock_matters && !quick(0) && !quick(1) && !net_busy ->
        since_send = 2; left[0] = 0; left[1] = 0 }
    :: atomic { KEY && is_open && key_age == 0 -> key_age = 1 }
    :: atomic { KEY && is_open && key_age == 1 && (since_send == 2 || overtime) -> key_age = 2; at_provider[calls - 1].forgot = 1 }

    :: atomic { rested -> break }
    od
}

/* --- the provider and the network ----------------------------------------------------------------------------------- */

proctype provider(byte c)
{
    do
    :: atomic { at_provider[c].under_way && mishap; at_provider[c].under_way = 0 }      /* lost on the way */
    :: atomic { at_provider[c].under_way ->
        at_provider[c].under_way = 0;
        if
        :: !at_provider[c].taken ->
            if
            :: at_provider[c].reply = QUEUED
            :: at_provider[c].reply = INLINE
            :: mishap; at_provider[c].reply = UNCLEAR                                   /* takes it and answers 500 */
            :: mishap; at_provider[c].reply = REFUSED                                   /* does not take it: 429, unbilled */
            fi;
            if
            :: at_provider[c].reply == REFUSED
            :: else ->
                at_provider[c].taken = 1;
                assert(call[c].outcome != NOT_TAKEN);       /* what we settled as not taken stays so */
                if
                :: at_provider[c].reply == INLINE -> charge(c); at_provider[c].end = SUCCEEDED
                :: else
                fi
            fi
        :: else ->                                          /* the second of the kind */
            if
            :: KEY && !at_provider[c].forgot
            :: else -> charge(c)
            fi;
            if
            :: at_provider[c].reply = QUEUED
            :: at_provider[c].reply = (at_provider[c].end == SUCCEEDED -> INLINE : QUEUED)
            :: mishap; at_provider[c].reply = REFUSED                                   /* 429 stands before the memory of keys */
            fi
        fi;
        if
        :: (at[0] == SENT && my[0] == c) || (at[1] == SENT && my[1] == c)
        :: else -> at_provider[c].reply = NONE              /* nobody listens */
        fi }

    /* The work, at any time after; the charge comes with its end. */
    :: atomic { at_provider[c].taken && at_provider[c].end == NONE && !at_provider[c].vanished ->
        if
        :: at_provider[c].end = SUCCEEDED; charge(c)
        :: mishap; at_provider[c].end = FAILED
        :: mishap; at_provider[c].end = FAILED; charge(c)
        :: mishap; at_provider[c].vanished = 1
        fi;
        if
        :: at_provider[c].end != NONE -> if :: skip :: at_provider[c].hooks = 1 :: at_provider[c].hooks = 2 fi
        :: else
        fi }
    :: atomic { at_provider[c].hooks > 0 -> at_provider[c].hooks--; record_end(c) }

    /* Anyone polls: kiln_runner.claim_polls, poll_answers. */
    :: atomic { call[c].state == ACCEPTED && at_provider[c].end != NONE -> record_end(c) }

    :: atomic { rested -> break }
    od
}

/* --- what SQL does by itself, and people ---------------------------------------------------------------------------- */

proctype others()
{
    do
    /* The lookup, polled by anyone: asked after timeout_at, answered later; counts if nothing was sent in between. */
#ifdef LOOKUP_TOO_EARLY
    :: atomic { LOOKUP && is_open && task != RUNNING && lookup == NONE ->
#else
    :: atomic { LOOKUP && is_open && task != RUNNING && lookup == NONE && since_send == 2 ->
#endif
        lookup = (at_provider[calls - 1].taken -> ACCEPTED : NOT_TAKEN);
        lookup_counts = 1 }
    :: atomic { lookup != NONE ->
        if
#ifdef LOOKUP_OF_BEFORE
        :: is_open ->
#else
        :: is_open && lookup_counts ->
#endif
            if
            :: lookup == ACCEPTED -> accept(calls - 1)
            :: else -> end_call(calls - 1, NOT_TAKEN); go_on(calls - 1)
            fi
        :: else
        fi;
        lookup = NONE }

    /* The tick: an open call that has no task any longer gets an end by name. */
#ifndef OPEN_ORPHAN
    :: atomic { is_open && !LOOKUP && since_send == 2 && task == CANCELLED -> last.state = UNKNOWN }
#endif

    /* The tick: a runner that lives and does not end its task in time. */
    :: atomic { task == RUNNING && mishap;
        if
#ifdef OVERDUE_IS_TIMEOUT
        :: true -> task = READY; if :: calls >= CALLS -> fail_job() :: else -> make_ready() fi
#else
        :: true -> make_ready()                             /* begin_call finds its call, whatever became of it */
#endif
        fi }

    /* The tick: accepted, and silent for longer than the stage allows. Held; polls and webhooks still end it. */
#ifndef POLLED_FOR_EVER
    :: atomic { task == WAITING && last.state == ACCEPTED && at_provider[calls - 1].vanished -> hold() }
#endif

    /* People. Resolving: the operator looks at the provider's own list and means what he says of what he sees. */
#ifdef RESEND_WITHOUT_WAIT
#define waited true
#else
#define waited (since_send == 2)
#endif
    :: atomic { words > 0 && task == HELD && waited && calls < CALLS ->                 /* resend */
        words--;
#ifndef RESEND_WITHOUT_WAIT
        assert(since_send == 2);                            /* never before timeout_at */
#endif
        allowed = allowed + at_provider[calls - 1].taken;
        end_call(calls - 1, (at_provider[calls - 1].taken -> UNKNOWN : NOT_TAKEN));
        another_try() }
    :: atomic { words > 0 && task == HELD && waited ->                                  /* fail */
        words--;
        end_call(calls - 1, (at_provider[calls - 1].taken -> UNKNOWN : NOT_TAKEN));
        fail_job() }
    :: atomic { words > 0 && task == HELD && at_provider[calls - 1].taken && last.state == UNKNOWN ->      /* adopt */
        words--;
        accept(calls - 1) }
    :: atomic { words > 0 && task == HELD -> words--; make_ready() }                    /* kiln.resume_job */
    :: atomic { (job == RUNNING || job == HELD) && mishap;                              /* kiln.cancel_job */
        if
        :: task == RUNNING -> job = CANCELLING
        :: else -> stop_job()
        fi }

    :: atomic { rested -> break }
    od
}

#define is_over(state, vanished) (state == NONE || state == SETTLED || state == UNKNOWN || (state == ACCEPTED && vanished))

/* When nothing can happen any more. */
proctype rest()
{
    byte c;
    atomic { timeout ->
        assert(job == DONE || job == FAILED || job == CANCELLED || job == HELD);        /* it has ended, or is held */
        assert((job == HELD) == (task == HELD));
        assert(job != HELD || last.state == UNKNOWN || last.state == ACCEPTED);         /* with a reason */
        for (c : 0 .. CALLS - 1) {
            assert(is_over(call[c].state, at_provider[c].vanished));                    /* no call is forgotten */
            assert(c + 1 >= calls || call[c].state == SETTLED)                          /* one open call a task */
        }
        c = 0;
        rested = 1
    }
}

init
{
    byte c;
    atomic {
        at[0] = CLAIMED; mine[0] = 1;
        run runner(0); run runner(1); run world(); run others();
        for (c : 0 .. CALLS - 1) { run provider(c) }
        c = 0;
        run rest()
    }
}

ltl comes_to_rest { <> rested }
