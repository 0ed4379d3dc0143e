#!/usr/bin/env bash
# container-migrate: the entry point of the image `migrate`. Brings the database to the state of the image, then gives the
# roles of the programs their passwords (SERVER_PASSWORD, WORKER_PASSWORD). Safe to repeat. Of a database that came here from a backup:
# docker-compose run --rm migrate --after-restore (docs/backup.md).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
: "${SERVER_PASSWORD:?is not set: run scripts/compose-secrets.sh}" "${WORKER_PASSWORD:?is not set}"
scripts/migrate.sh "$@"
# \getenv: the passwords are in no command line; and out of the server's log if the statement should fail.
psql -X -q -v ON_ERROR_STOP=1 <<'SQL'
set log_statement = none;
set log_min_error_statement = panic;
\getenv server_password SERVER_PASSWORD
\getenv worker_password WORKER_PASSWORD
alter role kiln_server login password :'server_password';
alter role kiln_worker login password :'worker_password';
SQL
echo 'database: ready'
