-- The first schema. Until the first release it is db/tables.psql itself and may change; at the release it is frozen here.
\ir ../db/tables.psql
\ir ../db/seed/queues.sql
