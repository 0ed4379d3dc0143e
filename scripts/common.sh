# shellcheck shell=bash
# common: what every script of Kiln shares. Sourced, never run: words to the person, .env, free ports, who owns a
# folder and as whom to run things in it. Nothing here changes the machine except usable_dir().

if [[ -t 1 && -z ${NO_COLOR:-} ]]; then
    bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' blue=$'\e[34m' plain=$'\e[0m'
else
    # shellcheck disable=SC2034  # all are for the scripts that source this file
    bold='' dim='' red='' green='' blue='' plain=''
fi

say()  { printf '%s\n' "$*"; }
warn() { printf '%s%s%s\n' "$red" "$*" "$plain" >&2; }
die()  { warn "$*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# Debian keeps initdb and pg_ctl off PATH, one folder a version: the newest one from 15 on, or the version that
# made an existing cluster.
pg_bindir() {
    local data=${1:-} dir version best=''
    if [[ -n $data && -r $data/PG_VERSION ]]; then
        version=$(<"$data/PG_VERSION")
        best=/usr/lib/postgresql/$version/bin
        [[ -x $best/postgres ]] || die "$data was made by PostgreSQL $version, which is not installed: apt-get install postgresql-$version"
    else
        while read -r dir; do
            version=${dir#/usr/lib/postgresql/}
            version=${version%/bin}
            [[ $version -ge 15 && -x $dir/initdb ]] && best=$dir
        done < <(compgen -G '/usr/lib/postgresql/[0-9]*/bin' | sort -V)
        [[ -n $best ]] || die "PostgreSQL 15 is not installed: run scripts/deps.sh demo (package postgresql-15)"
    fi
    printf '%s\n' "$best"
}

# PostgreSQL refuses to run as root. So root acts as the owner of the folder, or as Debian's user postgres.
service_user() {
    local dir=$1 owner
    if [[ $EUID -ne 0 ]]; then
        id -un
        return
    fi
    owner=$(stat -L -c %U "$dir" 2>/dev/null || true)
    if [[ -n $owner && $owner != root && $owner != UNKNOWN ]]; then
        printf '%s\n' "$owner"
    else
        id -u postgres >/dev/null 2>&1 || die "there is no user postgres to run the database as: run scripts/deps.sh demo (package postgresql-15)"
        printf 'postgres\n'
    fi
}

# as_user NAME COMMAND…: becomes that user when we are root, else simply runs the command.
as_user() {
    local user=$1
    shift
    if [[ $EUID -eq 0 && $user != root ]]; then
        setpriv --reuid="$user" --regid="$(id -g "$user")" --init-groups -- env HOME=/nonexistent "$@"
    else
        "$@"
    fi
}

# usable_dir DIR: makes the folder, lets the service user own it, prints its real absolute path. Where root's checkout lies
# below a folder that user may not search (/root is 0700), DIR becomes a link to a folder under /var/lib.
usable_dir() {
    local dir=$1 user real
    [[ $dir == /* ]] || dir=$PWD/$dir
    # pg_ctl puts the path into a shell command, between double quotes.
    [[ $dir != *[\"\$\`\\$'\n']* ]] || die "the path $dir holds a character that PostgreSQL's own scripts cannot take: set KILN_HOME to another folder"
    [[ ! -e $dir || -d $dir ]] || die "$dir is not a folder: set KILN_HOME to one"
    if [[ $EUID -ne 0 ]]; then
        mkdir -p "$dir" 2>/dev/null || die "cannot make the folder $dir"
        real=$(cd "$dir" && pwd -P)
        [[ -O $real ]] || die "$real belongs to $(stat -c %U "$real"), not to you: run this as that user or as root, or set KILN_HOME to a folder of your own"
        printf '%s\n' "$real"
        return
    fi
    # A dangling link is what remains when the folder under /var/lib was removed: make it anew.
    if [[ -L $dir && ! -e $dir ]]; then rm -f "$dir"; fi
    if [[ ! -e $dir ]]; then (umask 022; mkdir -p "$dir") || die "cannot make the folder $dir"; fi
    user=$(service_user "$dir")
    real=$(cd "$dir" && pwd -P) || die "cannot enter the folder $dir"
    if ! as_user "$user" test -x "$real/.." || { [[ $(stat -c %U "$real") == "$user" ]] && ! as_user "$user" test -x "$real"; }; then
        [[ -z $(ls -A "$real") ]] || die "the user $user may not enter a parent folder of $real: move it elsewhere or set KILN_HOME"
        real=/var/lib/kiln-$(printf '%s' "$real" | sha256sum | cut -c1-12)
        { mkdir -p "$real" && rmdir "$dir" && ln -s "$real" "$dir"; } || die "cannot make $dir a link to $real"
        user=$(service_user "$real")
    fi
    if [[ $(stat -c %U "$real") == root ]]; then
        [[ -z $(ls -A "$real") ]] || die "$real belongs to root and is not empty: Kiln will not take it over, set KILN_HOME to another folder"
        { chown "$user:" "$real" && chmod 0755 "$real"; } || die "cannot give $real to the user $user"
    fi
    printf '%s\n' "$real"
}

# load_env FILE: KEY=VALUE lines become environment, unless the environment has the key already. Keys are Kiln's own and those of
# providers, which end in _KEY, _TOKEN or _SECRET (a provider's description names its own). Nothing is executed or expanded;
# quotes around the whole value are taken off; outside quotes " #" begins a comment.
load_env() {
    local file=$1 line key value number=0
    [[ -r $file ]] || return 0
    while IFS= read -r line || [[ -n $line ]]; do
        number=$((number + 1))
        line=${line%$'\r'}
        [[ $line =~ ^[[:space:]]*(#.*)?$ ]] && continue
        [[ $line =~ ^[[:space:]]*(export[[:space:]]+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)$ ]] \
            || die "$file, line $number: not of the form KEY=VALUE"
        key=${BASH_REMATCH[2]} value=${BASH_REMATCH[3]}
        [[ $key =~ ^(KILN_[A-Z0-9_]+|DATABASE_URL|STRIPE_[A-Z0-9_]+|OTEL_[A-Z0-9_]+|POSTGRES_[A-Z0-9_]+|COMPOSE_[A-Z0-9_]+)$ \
            || $key =~ ^[A-Z][A-Z0-9_]*_(KEY|TOKEN|SECRET)$ ]] \
            || die "$file, line $number: $key is not a variable of Kiln (docs/settings.md lists them)"
        if [[ $value =~ ^\"([^\"]*)\"[[:space:]]*(#.*)?$ || $value =~ ^\'([^\']*)\'[[:space:]]*(#.*)?$ ]]; then
            value=${BASH_REMATCH[1]}
        elif [[ $value == [\"\']* ]]; then
            die "$file, line $number: the quote of $key is not closed"
        else
            [[ $value == '#'* ]] && value=''
            value=${value%%[[:space:]]#*}
            value=${value%"${value##*[![:space:]]}"}
        fi
        [[ -v $key ]] || export "$key=$value"
    done <"$file"
}

# A process is named by pid, start time and boot, so a number that was given to somebody else is never killed.
process_stamp() {
    local stat
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
    stat=${stat##*) }
    [[ ${stat%% *} == Z ]] && return 1
    # shellcheck disable=SC2086  # splitting is the point: field 22 of the line is the start time
    set -- "$1" $stat
    printf '%s %s %s\n' "$1" "${21}" "$(</proc/sys/kernel/random/boot_id)"
}

# is_running PIDFILE: the process written there still lives; its pid is left in $pid.
is_running() {
    local stamp
    pid=''
    { read -r stamp <"$1"; } 2>/dev/null || return 1
    [[ -n $stamp && $(process_stamp "${stamp%% *}" || true) == "$stamp" ]] || return 1
    pid=${stamp%% *}
}

# who_listens PORT: "nginx (pid 712)", or nothing where we may not know. Reads /proc, since ss is not on every machine.
who_listens() {
    local hex inode fd pid
    hex=$(printf '%04X' "$1")
    inode=$(awk -v port=":$hex" 'FNR > 1 && substr($2, length($2) - 4) == port && $4 == "0A" { print $10; exit }' /proc/net/tcp /proc/net/tcp6 2>/dev/null || true)
    [[ -n $inode && $inode != 0 ]] || return 0
    fd=$(find /proc/[0-9]*/fd -maxdepth 1 -lname "socket:\[$inode\]" -print -quit 2>/dev/null || true)
    [[ -n $fd ]] || return 0
    pid=${fd#/proc/}
    pid=${pid%%/*}
    printf '%s (pid %s)\n' "$(</proc/"$pid"/comm)" "$pid"
}

port_taken() {
    local hex
    hex=$(printf '%04X' "$1")
    awk -v port=":$hex" 'FNR > 1 && substr($2, length($2) - 4) == port && $4 == "0A" { found = 1 } END { exit !found }' \
        /proc/net/tcp /proc/net/tcp6 2>/dev/null
}

# free_port: a port nobody listens on, below the range from which the kernel gives out client ports.
free_port() {
    local port
    for _ in {1..200}; do
        port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
        if ! port_taken "$port"; then
            printf '%s\n' "$port"
            return
        fi
    done
    die "no free port found between 20000 and 32000"
}

# random_secret: 256 bits as 64 hexadecimal digits.
random_secret() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }

seconds_since() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }'; }

# put_file USER MODE FILE: stdin becomes FILE, whole or not at all, readable by nobody else at any moment if MODE says so.
put_file() {
    # shellcheck disable=SC2016  # the inner shell expands it
    local script='umask 077; cat >"$1.part" && chmod "$2" "$1.part" && mv "$1.part" "$1"'
    as_user "$1" bash -c "$script" - "$3" "$2"
}
