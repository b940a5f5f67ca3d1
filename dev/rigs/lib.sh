# shellcheck shell=bash
# What the rigs share. Sourced, never run. README.md says how the rigs are used.
#
# Every rig NAME owns $RIG_DIR/NAME: configuration, data, run/ (pid files), log/, and env, a file of
# `export NAME='value'` lines for its clients.

set -euo pipefail
here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
: "${RIG_DIR:=$HOME/.rig}" "${RIG_PASSWORD:=secret}" "${RIG_REGION:=RegionOne}"
mkdir -p "$RIG_DIR"
RIG_DIR=$(cd "$RIG_DIR" && pwd)
export RIG_DIR RIG_PASSWORD RIG_REGION DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
umask 022

say() { printf '[%s] %s\n' "$RIG_NAME" "$*" >&2; }
die() { say "ERROR: $*"; exit 1; }

# rig NAME: take the rig's lock and make its directories. One start or stop of a rig at a time: everything that
# stays running closes descriptor 9, or it would keep the lock.
rig() {
    RIG_NAME=$1 RIG_HOME=$RIG_DIR/$1 RIG_RUN=$RIG_DIR/$1/run RIG_LOG=$RIG_DIR/$1/log RIG_ENV=$RIG_DIR/$1/env
    [ ${#RIG_DIR} -le 60 ] || die "RIG_DIR is longer than 60 characters; paths of Unix sockets end at 107"
    exec 9>"$RIG_DIR/.$1.lock"
    if ! flock -w 900 9; then die "another start or stop of this rig is under way"; fi
    mkdir -p "$RIG_RUN" "$RIG_LOG"
}

# up RIG [ARGUMENT...]: start a rig that this one stands on and read its settings.
up() {
    local other=$1
    shift
    rig_is_up "$other" "$@" || "$here/$other-up" "$@" 9>&- >/dev/null || die "$other-up failed"
    # shellcheck disable=SC1090
    . "$RIG_DIR/$other/env"
}

# endpoints TYPE=URL...: start Keystone and put the endpoints into its catalog. A note beside its data, which goes with
# them, says that the catalog has them already.
endpoints() {
    local note=$RIG_DIR/keystone/endpoints-of-$RIG_NAME
    up keystone
    [ "$(cat "$note" 2>/dev/null)" != "$*" ] || return 0
    "$here/keystone-catalog" "$@" 9>&-
    echo "$*" >"$note"
}

# finish: print what a client needs, and nothing else, on standard output.
finish() {
    say "up; logs in $RIG_LOG, settings in $RIG_ENV"
    cat "$RIG_ENV"
}

# purge: remove everything of this rig.
purge() {
    local entry
    for entry in "$RIG_HOME"/*; do [ ! -L "$entry" ] || remove_data "$(basename "$entry")"; done
    rm -rf "${RIG_HOME:?}"
}

# ------------------------------------------------------------------------------------------------ packages

# apt_need PACKAGE...: install the Debian packages that are missing, without starting their services.
apt_need() {
    local package missing=()
    for package in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    [ "$(id -u)" = 0 ] || die "install these packages first, as root: ${missing[*]}"
    say "apt-get install ${missing[*]}"
    if ! (apt_install "${missing[@]}") 9>&-; then
        tail -n 20 "$RIG_LOG/apt.log" >&2
        die "apt-get failed, see $RIG_LOG/apt.log"
    fi
}

apt_install() {
    local try policy=/usr/sbin/policy-rc.d
    exec 8>/var/lock/glimpse-rigs-apt.lock
    flock -w 900 8
    if [ ! -e $policy ]; then
        # shellcheck disable=SC2064
        trap "rm -f $policy" EXIT
        printf '#!/bin/sh\nexit 101\n' >$policy
        chmod 755 $policy
    fi
    for try in 1 2 3 4; do
        if [ "$try" -gt 1 ] || [ -z "$(find /var/lib/apt/lists -maxdepth 1 -name '*Packages*' -mmin -1440)" ]; then
            apt-get -q -o DPkg::Lock::Timeout=600 update >>"$RIG_LOG/apt.log" 2>&1 8>&- || { sleep 5; continue; }
        fi
        apt-get -q -y -o DPkg::Lock::Timeout=600 -o Dpkg::Options::=--force-confold \
            install --no-install-recommends "$@" >>"$RIG_LOG/apt.log" 2>&1 8>&- && return 0
        sleep 5
    done
    return 1
}

rig_python() {
    if [ -n "${RIG_PYTHON:-}" ]; then echo "$RIG_PYTHON"; else "$here/../python"; fi
}

# venv_need NAME: the virtual environment $RIG_DIR/venv/NAME with exactly requirements/NAME.txt; sets VENV.
venv_need() {
    local pins=$here/requirements/$1.txt want
    VENV=$RIG_DIR/venv/$1
    want=$(sha256sum <"$pins")
    (
        # beside the environments, which sets of rigs may share
        mkdir -p "$RIG_DIR/venv"
        exec 7>"$RIG_DIR/venv/.$1.lock" 9>&-
        flock -w 900 7
        [ "$(cat "$VENV/.pins" 2>/dev/null)" != "$want" ] || exit 0
        say "pip install -r requirements/$1.txt (a minute or two, the first time)"
        rm -f "$VENV/.pins"
        {
            make_venv && "$VENV/bin/python" -m pip install -q -r "$pins" && "$VENV/bin/python" -m pip check
        } >>"$RIG_LOG/pip.log" 2>&1 7>&- || exit 1
        printf '%s\n' "$want" >"$VENV/.pins"
    ) || { tail -n 20 "$RIG_LOG/pip.log" >&2; die "pip failed, see $RIG_LOG/pip.log"; }
}

make_venv() {
    local python
    [ ! -x "$VENV/bin/pip" ] || return 0
    python=$(rig_python)
    # Debian's interpreter comes without ensurepip, and uWSGI is compiled.
    "$python" -c 'import ensurepip' 2>/dev/null || apt_need python3.11-venv
    "$python" -c 'import os, sysconfig; os.stat(sysconfig.get_path("include") + "/Python.h")' 2>/dev/null ||
        apt_need python3.11-dev
    command -v cc >/dev/null || apt_need gcc libc6-dev
    "$python" -m venv "$VENV"
}

# certificate_need: a private CA and a server certificate for localhost, *.localhost and 127.0.0.1, which the rigs
# with HTTPS share; sets CA_CERT, TLS_CERT, TLS_KEY.
certificate_need() {
    local dir=$RIG_DIR/tls
    CA_CERT=$dir/ca.pem TLS_CERT=$dir/server.crt TLS_KEY=$dir/server.key
    command -v openssl >/dev/null || apt_need openssl
    mkdir -p "$dir"
    (
        exec 7>"$dir/.lock" 9>&-
        flock -w 60 7
        [ ! -e "$dir/.made" ] || exit 0
        openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj '/CN=rig test CA' \
            -addext 'basicConstraints=critical,CA:TRUE' -addext 'keyUsage=critical,keyCertSign,cRLSign' \
            -keyout "$dir/ca.key" -out "$CA_CERT" &&
            openssl req -newkey rsa:2048 -nodes -subj '/CN=localhost' -keyout "$TLS_KEY" -out "$dir/server.csr" &&
            printf '%s\n' 'subjectAltName=DNS:localhost,DNS:*.localhost,IP:127.0.0.1' 'basicConstraints=CA:FALSE' \
                'keyUsage=digitalSignature,keyEncipherment' 'extendedKeyUsage=serverAuth' >"$dir/server.ext" &&
            openssl x509 -req -in "$dir/server.csr" -CA "$CA_CERT" -CAkey "$dir/ca.key" -CAcreateserial \
                -days 3650 -extfile "$dir/server.ext" -out "$TLS_CERT" &&
            touch "$dir/.made"
    ) >>"$RIG_LOG/tls.log" 2>&1 || die "no certificate, see $RIG_LOG/tls.log"
}

# ----------------------------------------------------------------------------------------------- processes

# A pid file holds the pid and the start time of the process, so that a number that was given to another process
# meanwhile is never signalled.
start_time() { sed 's/^.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

# pid_alive NAME: does its process run? Sets PID.
pid_alive() {
    local started
    PID=
    [ -s "$RIG_RUN/$1.pid" ] || return 1
    { read -r PID && read -r started; } <"$RIG_RUN/$1.pid" || return 1
    is_running "$PID" && [ "$started" = "$(start_time "$PID")" ]
}

is_running() {
    case "$(sed 's/^.*) //' "/proc/$1/stat" 2>/dev/null)" in '' | Z*) return 1 ;; esac # gone, or a zombie
}

# spawn NAME COMMAND...: start a command that stays in the foreground as the leader of its own process group.
spawn() {
    local name=$1
    shift
    ! pid_alive "$name" || return 0
    end_group "$name"
    (cd / && exec setsid "$@") >>"$RIG_LOG/$name.log" 2>&1 </dev/null 9>&- &
    printf '%s\n%s\n' $! "$(start_time $!)" >"$RIG_RUN/$name.pid"
    disown $!
}

# stop_pid NAME [SECONDS [SIGNAL]]: signal, wait, kill; then the same for what is left of its process group.
stop_pid() {
    local name=$1 limit=${2:-20} signal=${3:-TERM} try
    if pid_alive "$name"; then
        kill "-$signal" "$PID" 2>/dev/null || true
        for ((try = 0; try < limit * 10; try++)); do
            pid_alive "$name" || break
            sleep 0.1
        done
        if pid_alive "$name"; then
            say "$name does not stop within $limit s, killing process $PID"
            kill -KILL "-$PID" 2>/dev/null || true
        fi
    fi
    end_group "$name"
    rm -f "$RIG_RUN/$name.pid"
}

# end_group NAME: end the children that a dead daemon left in its process group. As long as there is one, the
# kernel gives the group's number to nobody else.
end_group() {
    local group try
    [ -s "$RIG_RUN/$1.pid" ] || return 0
    ! pid_alive "$1" || return 0
    read -r group <"$RIG_RUN/$1.pid"
    ! is_running "$group" || return 0 # the number belongs to a new process
    for ((try = 0; try < 100; try++)); do
        group_alive "$group" || return 0
        [ $((try % 20)) -ne 0 ] || kill -TERM "-$group" 2>/dev/null || true
        sleep 0.1
    done
    kill -KILL "-$group" 2>/dev/null || true
    sleep 0.2
}

group_alive() { # fields after the command's name: state, parent, group
    { cat /proc/[0-9]*/stat 2>/dev/null || true; } | sed 's/^.*) //' |
        awk -v group="$1" '$3 == group && $1 != "Z" { found = 1 } END { exit !found }'
}

# rig_is_up NAME [PROCESS...]: do all processes of that rig run, these among them, and nobody starts or stops it now?
rig_is_up() (
    RIG_RUN=$RIG_DIR/$1/run
    exec 8>"$RIG_DIR/.$1.lock" 9>&-
    flock -n 8 && [ -s "$RIG_DIR/$1/env" ] || exit 1
    shift
    for name in "$@"; do pid_alive "$name" || exit 1; done
    for file in "$RIG_RUN"/*.pid; do
        [ -e "$file" ] && pid_alive "$(basename "$file" .pid)" || exit 1
    done
)

# rig_runs NAME: does any process of that rig run?
rig_runs() {
    local RIG_RUN=$RIG_DIR/$1/run file
    for file in "$RIG_RUN"/*.pid; do
        [ -e "$file" ] && pid_alive "$(basename "$file" .pid)" && return 0
    done
    return 1
}

# ------------------------------------------------------------------------------------------------- waiting

port_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# free_port NAME PORT VARIABLE: refuse a port that something else listens on.
free_port() {
    ! pid_alive "$1" || return 0
    end_group "$1"
    ! port_open "$2" || die "port $2 is taken by another process; set $3"
}

# wait_port NAME PORT [SECONDS]: until the port of a daemon of this rig answers.
wait_port() {
    local try
    for ((try = 0; try < ${3:-120} * 5; try++)); do
        ! port_open "$2" || return 0
        pid_alive "$1" || { tail -n 20 "$RIG_LOG/$1.log" >&2; die "$1 ended, see $RIG_LOG"; }
        sleep 0.2
    done
    die "$1: nothing answers on port $2, see $RIG_LOG"
}

# wait_for SECONDS WHAT COMMAND...: until the command succeeds.
wait_for() {
    local what=$2 end=$((SECONDS + $1))
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || die "gave up waiting for $what, see $RIG_LOG"
        sleep 0.25
    done
}

# http_answers PORT [PATH]: does something answer with any HTTP status at all?
http_answers() {
    local line
    exec 3<>"/dev/tcp/127.0.0.1/$1" || return 1
    printf 'GET %s HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n' "${2:-/}" >&3
    read -r -t 10 line <&3 && [[ $line == HTTP/* ]]
    local answered=$?
    exec 3>&-
    return $answered
}

port_of() { # URL
    local rest=${1#*://}
    rest=${rest%%/*}
    echo "${rest##*:}"
}

# ---------------------------------------------------------------------------------------------------- data

walkable() { # can any user reach this directory?
    local dir=$1
    while [ "$dir" != / ]; do
        [ ! -e "$dir" ] || [ "$(stat -c %A "$dir" | cut -c10)" != - ] || return 1
        dir=$(dirname "$dir")
    done
}

# data_for USER NAME: a directory of this rig that USER can reach and owns; sets DATA. The home of root usually is
# closed to others; then the directory lies below /var/tmp and $RIG_HOME/NAME is a link to it.
data_for() {
    local user=$1 far
    DATA=$RIG_HOME/$2
    if [ "$user" != "$(id -un)" ] && [ ! -e "$DATA" ] && ! walkable "$RIG_HOME"; then
        far=/var/tmp/rig-$(printf %s "$RIG_HOME" | sha256sum | cut -c1-10)-$2
        mkdir -p "$far"
        ln -sfn "$far" "$DATA"
    fi
    DATA=$(readlink -m "$DATA")
    mkdir -p "$DATA"
    [ "$user" = "$(id -un)" ] || chown "$user" "$DATA"
}

remove_data() { # NAME: what data_for made
    local far
    far=$(readlink "$RIG_HOME/$1" 2>/dev/null || true)
    case $far in /var/tmp/rig-*) rm -rf "$far" ;; esac
    rm -rf "${RIG_HOME:?}/$1"
}
