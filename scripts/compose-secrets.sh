#!/usr/bin/env bash
# compose-secrets: makes the files in secrets/ that compose.yml reads, once; what is there stays. Mode 0600.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/common.sh
source "$root/scripts/common.sh"
cd "$root"
umask 077
mkdir -p secrets
if [[ -e secrets/postgres.env ]]; then
    say "secrets/ is there already; it stays as it is"
    exit 0
fi
postgres=$(random_secret) server=$(random_secret) worker=$(random_secret)
printf 'PGPASSWORD=%s\nKILN_JWT_SECRET=%s\nKILN_ADMIN_KEY=%s\n' "$server" "$(random_secret)" "$(random_secret)" >secrets/server.env
printf 'PGPASSWORD=%s\n' "$worker" >secrets/runner.env
printf 'PGPASSWORD=%s\nSERVER_PASSWORD=%s\nWORKER_PASSWORD=%s\n' "$postgres" "$server" "$worker" >secrets/migrate.env
printf 'POSTGRES_PASSWORD=%s\n' "$postgres" >secrets/postgres.env
say "secrets/ made: back it up with the database, and keep it out of git"
