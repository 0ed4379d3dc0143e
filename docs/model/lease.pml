/*
 * lease.pml: who may be swept. Two runners that live, beats, and an outage of the database of any length. The rule of kiln.pml
 * ("after an outage nobody is evicted who lives") with real distances: one step of the clock is a tenth of a lease.
 *
 * Both are alive all the time, so no sweep is ever right.
 *   GAP    a longer gap between two beats begins "steady since" anew (kiln_runner.beat), and whoever is in one sweeps nobody
 */
#define LEASE 10
#define EVERY 2                 /* a beat each so often: 1 s of 5 s */
#ifndef GAP
#define GAP   7                 /* kiln.beat_gap: 0.7 of a lease */
#endif
#ifdef SWEEP_WHILE_BLIND
#define steady(r) true
#else
#define steady(r) (since[r] >= LEASE)
#endif

byte age[2];                    /* of the last beat that the database accepted */
byte due[2];                    /* until the next one is tried */
byte since[2] = LEASE;          /* for how long beats have come without a gap; stops counting at LEASE */
bool up = true;
byte outages = 2;

inline beat(r)
{
    since[r] = (age[r] > GAP -> 0 : since[r]);
    age[r] = 0;
    due[r] = EVERY
}

inline older(r)
{
    age[r] = (age[r] <= LEASE -> age[r] + 1 : age[r]);
    since[r] = (since[r] < LEASE -> since[r] + 1 : since[r]);
    due[r] = (due[r] > 0 -> due[r] - 1 : 0)
}

active proctype world()
{
    byte r;
    due[1] = EVERY - 1;         /* they do not beat in step */
    do
    :: atomic { up && due[0] == 0 -> beat(0) }
    :: atomic { up && due[1] == 0 -> beat(1) }
    :: atomic { !(up && (due[0] == 0 || due[1] == 0)) -> older(0); older(1) }
    :: atomic { up && outages > 0 && due[0] > 0 && due[1] > 0 -> outages--; up = false }    /* between two, overdue beats come through */
    :: atomic { !up -> up = true }
    :: atomic { up ->           /* a runner's tick, which may come before the other's beat: kiln_internal.expire_runners */
        if :: r = 0 :: r = 1 fi;
        assert(!(steady(r) && age[r] <= GAP && age[1 - r] > LEASE));            /* who lives is not swept */
        r = 0 }
    od
}
