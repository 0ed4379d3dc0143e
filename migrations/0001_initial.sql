-- The first schema. Until the first release it is the tables of db/install.psql themselves and may change; at the release it is frozen here.
\set part tables
\ir ../db/install.psql
\unset part
\ir ../db/seed/queue/queues.sql
