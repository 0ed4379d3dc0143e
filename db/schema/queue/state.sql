-- The two state machines as data. An UPDATE of a state is the transition: the triggers of db/triggers/ look
-- the move up here, do all that belongs to it, or refuse it with a sentence (KN001).
create type kiln.job_state as enum ('queued', 'running', 'cancelling', 'held', 'completed', 'failed',
                                    'cancelled');
comment on type kiln.job_state is 'What people see of a job. completed, failed and cancelled are final.';

create type kiln.task_state as enum ('ready', 'running', 'waiting', 'held', 'done', 'failed', 'cancelled');
comment on type kiln.task_state is
'A stage''s turn. waiting = due later (a backoff, a schedule, a provider); done, failed and cancelled are
final.';

create table kiln.job_move (
    from_state kiln.job_state not null,
    event      text           not null,
    to_state   kiln.job_state not null,
    primary key (from_state, to_state)
);
comment on table kiln.job_move is 'Every legal move of a job; what is not here is refused.';
comment on column kiln.job_move.from_state is 'The state before.';
comment on column kiln.job_move.event is 'What happened, as a verb.';
comment on column kiln.job_move.to_state is 'The state after.';

insert into kiln.job_move (from_state, event, to_state) values
    ('queued',     'start',    'running'),
    ('queued',     'cancel',   'cancelled'),
    ('queued',     'stop',     'cancelling'),
    ('queued',     'hold',     'held'),
    ('running',    'stop',     'cancelling'),
    ('running',    'cancel',   'cancelled'),
    ('running',    'complete', 'completed'),
    ('running',    'fail',     'failed'),
    ('running',    'hold',     'held'),
    ('cancelling', 'stopped',  'cancelled'),
    ('cancelling', 'complete', 'completed'),
    ('cancelling', 'hold',     'held'),
    ('held',       'resume',   'running'),
    ('held',       'complete', 'completed'),
    ('held',       'fail',     'failed'),
    ('held',       'cancel',   'cancelled');

create table kiln.task_move (
    from_state kiln.task_state not null,
    event      text            not null,
    to_state   kiln.task_state not null,
    primary key (from_state, to_state)
);
comment on table kiln.task_move is 'Every legal move of a task; what is not here is refused.';
comment on column kiln.task_move.from_state is 'The state before.';
comment on column kiln.task_move.event is 'What happened, as a verb.';
comment on column kiln.task_move.to_state is 'The state after.';

insert into kiln.task_move (from_state, event, to_state) values
    ('ready',   'claim',    'running'),
    ('ready',   'postpone', 'waiting'),
    ('ready',   'hold',     'held'),
    ('ready',   'cancel',   'cancelled'),
    ('waiting', 'due',      'ready'),
    ('waiting', 'hold',     'held'),
    ('waiting', 'cancel',   'cancelled'),
    ('running', 'complete', 'done'),
    ('running', 'retry',    'waiting'),
    ('running', 'release',  'ready'),
    ('running', 'hold',     'held'),
    ('running', 'fail',     'failed'),
    ('running', 'stopped',  'cancelled'),
    ('held',    'resume',   'ready'),
    ('held',    'adopt',    'done'),
    ('held',    'fail',     'failed'),
    ('held',    'cancel',   'cancelled');
