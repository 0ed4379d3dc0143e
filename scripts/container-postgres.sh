#!/usr/bin/env bash
# container-postgres: the entry point of the image `postgres`. Makes the cluster on the first start, with the password of
# the superuser from POSTGRES_PASSWORD (compose.yml takes it from a file), then becomes PostgreSQL.
set -euo pipefail
bin=/usr/lib/postgresql/15/bin
data=/var/lib/postgresql/data/15

if [[ ! -s $data/PG_VERSION ]]; then
    : "${POSTGRES_PASSWORD:?is not set: run scripts/compose-secrets.sh}"
    # A start that was cut off leaves a half-made cluster, which nobody has used.
    rm -rf "$data.part"
    "$bin/initdb" -D "$data.part" -U postgres -E UTF8 --locale=C.UTF-8 --auth-local=trust --auth-host=scram-sha-256 \
        --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD")
    printf 'host all all all scram-sha-256\n' >>"$data.part/pg_hba.conf"
    echo 'create database kiln' | "$bin/postgres" --single -D "$data.part" postgres >/dev/null
    mv "$data.part" "$data"
fi
unset POSTGRES_PASSWORD
exec "$bin/postgres" -D "$data" -c listen_addresses='*' -c unix_socket_directories=/tmp -c timezone=UTC -c jit=off \
    -c shared_buffers=256MB -c max_connections=200 -c max_wal_size=2GB -c autovacuum_naptime=5s -c autovacuum_vacuum_cost_delay=1ms "$@"
