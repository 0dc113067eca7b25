#!/bin/sh
# Runs a command with tallyd beside it, as the entry point of a container or a Fly Machine:
#
#   ENTRYPOINT ["entrypoint.sh"]        in a Dockerfile; docs/fly.md has the rest
#   CMD ["node", "server.js"]
#
# The command is what counts: its exit code is the container's, and nothing that becomes of tallyd ends or delays it.
# TERM, INT, QUIT, USR1 and USR2 go to the command alone, HUP to both. When the command has ended, however it did,
# tallyd gets TERM and has some seconds to count and publish the rest: the last lines of the command are in the logs by
# then. A tallyd that ends by itself is started again, after pauses that grow to a minute, unless its exit code says
# that no restart mends it.
#
#   TALLYD_PROGRAM=tallyd      the program, by name or path
#   TALLYD_GRACE_SECONDS=4     how long tallyd may take to end, whole seconds; Fly kills a Machine 5 s after it told it to
#   TALLYD_LOG_FORMAT=json     what this script says is then JSON, too
#
# POSIX sh, with nothing but `sleep`, `date` and `env`; dash and busybox run it in the tests. As process 1 it also takes
# in orphans. It does not survive its own kill -9; the command and tallyd then go on without it.
set -u

program=${TALLYD_PROGRAM:-tallyd}
grace=${TALLYD_GRACE_SECONDS:-4}
longest_pause=60

say() {
    if [ "${TALLYD_LOG_FORMAT:-text}" = json ]; then
        printf '{"timestamp":"%s","level":"%s","message":"%s","target":"entrypoint"}\n' \
            "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$1" "$2" >&2
    else
        printf 'entrypoint: %s\n' "$2" >&2
    fi
}

# Waits for a child of this shell and sets `code`. A trap ends `wait` early with a code that says nothing of the child;
# where the child had ended by then all the same, the second `wait` knows it no more (127).
await() {
    code=
    while :; do
        heard=
        is_known=yes
        kill -0 "$1" 2>/dev/null || is_known=
        status=0
        wait "$1" || status=$?
        if [ -z "$is_known" ] && [ -n "$code" ] && [ "$status" = 127 ]; then
            return
        fi
        code=$status
        [ -n "$heard" ] || return 0
    done
}

# Sends TERM to a process, and again each second: what comes after a shell has forked and before it has become the
# program is lost. After so many seconds KILL; never where they are 0. Ends when it is sent TERM itself.
insist() {
    kill -TERM "$1" 2>/dev/null
    # Holds no output open: who waits for its end need not wait for this.
    (
        trap 'kill $!; exit' TERM
        left=$2
        while sleep 1 & wait $!; do
            left=$((left - 1))
            signal=TERM
            [ "$left" != 0 ] || signal=KILL
            kill -"$signal" "$1" || exit
        done
    ) >/dev/null 2>&1 &
    insisting=$!
}

# The part that keeps tallyd running: a process of its own, in whose `tallyd` and `pause` are what it waits for.

end_tallyd() {
    heard=yes
    is_ending=yes
    [ -z "$pause" ] || kill "$pause" 2>/dev/null
    if [ -n "$tallyd" ] && [ -z "$insisting" ]; then
        insist "$tallyd" "$grace"
    fi
}

# shellcheck disable=SC2329 # by a trap
reload_tallyd() {
    heard=yes
    [ -z "$tallyd" ] || kill -HUP "$tallyd" 2>/dev/null
}

# One life of tallyd; sets `code`.
run_tallyd() {
    # A session of its own: Ctrl-C at a terminal is for the command.
    if command -v setsid >/dev/null; then
        setsid "$program" run &
    else
        "$program" run &
    fi
    tallyd=$!
    # The signal may have come just before there was anything to send it to.
    [ -z "$is_ending" ] || end_tallyd
    await "$tallyd"
    tallyd=
}

# Whether tallyd may do better when it is started again; README.md, "Exit codes", has them all. A state folder (4) may
# be mounted or get room later, and who holds the ledger (5) may let go of it.
may_be_mended() {
    case $1 in
        2 | 3 | 6 | 8 | 126 | 127) return 1 ;;
    esac
}

rest() {
    [ -z "$is_ending" ] || return 0
    # Any signal ends it early, even where it comes too early for `sleep` to hear.
    sleep "$1" >/dev/null 2>&1 &
    pause=$!
    wait "$pause"
    pause=
}

keep_tallyd() {
    is_ending='' tallyd='' pause='' insisting=''
    trap end_tallyd TERM
    trap reload_tallyd HUP
    wanted=1
    while [ -z "$is_ending" ]; do
        began=$(date +%s)
        run_tallyd
        [ -z "$is_ending" ] || break
        if ! may_be_mended "$code"; then
            say ERROR "tallyd ended with code $code, which no restart mends: \`$program check\` says what is wrong. The command goes on, its usage is not counted until the next start."
            # Stays, so that its process id belongs to nobody else when it is told to end.
            while [ -z "$is_ending" ]; do
                rest 3600
            done
            break
        fi
        # One that has run for long enough has earned a quick restart.
        [ $(($(date +%s) - began)) -lt "$longest_pause" ] || wanted=1
        say WARN "tallyd ended with code $code; it is started again in $wanted s"
        rest "$wanted"
        wanted=$((wanted * 2))
        [ "$wanted" -le "$longest_pause" ] || wanted=$longest_pause
    done
    if [ -n "$is_ending" ] && [ "${code:-0}" = 137 ]; then
        say WARN "tallyd did not end within $grace s and was killed; the next start counts what it had not come to"
    fi
    [ -z "$insisting" ] || kill "$insisting" 2>/dev/null
}

# The part that runs the command.

# shellcheck disable=SC2329 # by a trap
pass_on() {
    heard=yes
    if [ -z "$command" ]; then
        waiting="$waiting $1"
    else
        kill -"$1" "$command" 2>/dev/null
    fi
}

# What the command has to be told where it cannot hear what was sent: a shell without job control starts background
# processes deaf to INT and QUIT. GNU `env` mends that, the one of busybox does not.
interrupt=TERM
quit=TERM
if env --default-signal=INT,QUIT -- true 2>/dev/null; then
    interrupt=INT
    quit=QUIT
fi

main() {
    command='' keeper='' waiting=''
    trap 'pass_on TERM' TERM
    trap 'pass_on "$interrupt"' INT
    trap 'pass_on "$quit"' QUIT
    trap 'pass_on USR1' USR1
    trap 'pass_on USR2' USR2
    trap 'pass_on HUP; [ -z "$keeper" ] || kill -HUP "$keeper" 2>/dev/null' HUP
    # A background process would get /dev/null for its input.
    exec 3<&0
    if [ "$interrupt" = INT ]; then
        env --default-signal=INT,QUIT -- "$@" <&3 3<&- &
    else
        "$@" <&3 3<&- &
    fi
    command=$!
    keep_tallyd 3<&- &
    keeper=$!
    for signal in $waiting; do
        kill -"$signal" "$command" 2>/dev/null
    done
    await "$command"
    ended=$code
    command=''
    insist "$keeper" 0
    await "$keeper"
    kill "$insisting" 2>/dev/null
    exit "$ended"
}

if [ $# = 0 ]; then
    say ERROR "which command? usage: entrypoint.sh COMMAND [ARGUMENT]..."
    exit 2
fi
main "$@"
