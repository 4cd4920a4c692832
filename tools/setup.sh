# Sourced by tools/run and tools/test: tinyseq in a virtual environment, made once, trusted after.
#
# The caller sets `me`, the name it speaks under. This file sets `root`, the checkout, and `venv`,
# the environment: TINYSEQ_VENV, or .venv in the checkout. `set_up ""` installs what running needs,
# `set_up test` what testing needs as well. pip's own settings (PIP_NO_INDEX, PIP_FIND_LINKS,
# PIP_INDEX_URL ...) hold. All messages go to stderr; a failure is one line and exit code 2.
#
# `$venv/made-from` holds, word for word, what the environment was made from. It says `unfinished`
# while anything is being changed, so an interrupted set-up is seen and begun anew.

say() { printf '%s: %s\n' "$me" "$*" >&2; }
fail() { say "error: $*"; exit 2; }

root=$(dirname -- "$(dirname -- "$(readlink -f -- "$0")")")
venv=${TINYSEQ_VENV:-$root/.venv}
case $venv in /*) ;; *) venv=$PWD/$venv ;; esac
made_from=$venv/made-from
log=$venv/setup.log

# What an environment cannot outlive: a move of itself or of the checkout, another Python.
place() {
    printf 'environment %s\ncheckout %s\npython %s\n' \
        "$venv" "$root" "$("$venv/bin/python" -V 2>&1)"
}

# Everything the installed packages depend on; $1 is the extra.
recipe() {
    place
    printf 'extra %s\n' "$1"
    cat "$root/setup.cfg" "$root/pyproject.toml"
}

# Whether what `set_up $1` would install is installed already.
is_current() {
    [ -x "$venv/bin/python" ] && [ -r "$made_from" ] || return 1
    found=$(cat "$made_from")
    [ "$found" = "$(recipe "$1")" ] || [ "$found" = "$(recipe test)" ]
}

# Sets `python` to the first Python >= 3.10 that can make a virtual environment.
find_python() {
    too_old='' no_venv=''
    for name in python3 python3.13 python3.12 python3.11 python3.10 python; do
        version=$("$name" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null) ||
            continue
        case $version in 2.* | 3.[0-9].*) too_old="$too_old, $name is $version"; continue ;; esac
        # The base executable: `name` itself may live in the environment that is to be replaced.
        python=$("$name" -c 'import ensurepip, sys, venv; print(sys._base_executable)' \
            2>/dev/null) && return
        no_venv="$no_venv, $name is $version"
    done
    [ -z "$no_venv" ] || fail "Python's venv module is missing (${no_venv#, }): install it" \
        "(Debian, Ubuntu: apt install python3-venv) and run again"
    [ -n "$too_old" ] || too_old=', found none'
    fail "needs Python 3.10 or newer on PATH (${too_old#, }): install one and run again"
}

# Marks the environment as unfinished. The subshell keeps the shell's own complaint quiet.
begin() {
    (mkdir -p "$venv" && echo unfinished > "$made_from") 2>/dev/null ||
        fail "cannot write to $venv: name a folder that you may write to with" \
            "TINYSEQ_VENV=FOLDER $me"
}

make_environment() {
    if [ -n "$(ls -A "$venv" 2>/dev/null)" ] && [ ! -e "$made_from" ]; then
        fail "$venv exists and is not of this script's making: move it away, or name another" \
            "folder with TINYSEQ_VENV=FOLDER $me"
    fi
    rm -rf "$venv" 2>/dev/null || true
    begin
    say "making $venv and installing tinyseq there with $("$python" -V), once"
    "$python" -m venv "$venv" > "$log" 2>&1 ||
        fail "$python cannot make a virtual environment: $(complaint) (all of it: $log)"
}

# pip's own last word; when a build step failed, the line that matters is the last ERROR.
complaint() {
    { grep 'ERROR: ' "$log" || grep . "$log" || echo 'no message'; } |
        tail -n 1 | sed 's/^.*ERROR: //'
}

install() {
    # setuptools leaves its notes beside the log, not in the checkout, which may be read-only.
    mkdir -p "$venv/build"
    printf '[egg_info]\negg_base = %s\n[build]\nbuild_base = %s\n' \
        "$venv/build" "$venv/build" > "$venv/build/setup.cfg"
    # Without a home there is no sensible place for a download cache.
    [ -n "${HOME:-}" ] || export PIP_NO_CACHE_DIR=1
    (cd "$root" && DIST_EXTRA_CONFIG=$venv/build/setup.cfg PIP_USER=0 PIP_NO_INPUT=1 \
        PIP_DISABLE_PIP_VERSION_CHECK=1 "$venv/bin/python" -m pip install \
        --only-binary numpy,numba,llvmlite --editable ".${1:+[$1]}") > "$log" 2>&1 </dev/null ||
        explain
}

# Fails with the reason why pip gave up.
explain() {
    if grep -Eqi 'connection|failed to resolve|name resolution|timed out|proxy|ssl' "$log"; then
        fail "no package index within reach ($(complaint)): connect and run again, or name a" \
            "folder of wheels, setuptools' too, with PIP_NO_INDEX=1 PIP_FIND_LINKS=FOLDER;" \
            "all of pip's log: $log"
    fi
    fail "pip could not install tinyseq: $(complaint); all of pip's log: $log"
}

# One set-up of a checkout at a time. The lock sits on file descriptor 9, this shell's, and goes
# with it whatever happens; where a file system knows no locks, there is none.
lock() {
    exec 9< "$root/tools/setup.sh"
    "$1" -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX)' 2>/dev/null || true
}

set_up() {
    is_current "$1" && return
    began=$(date +%s)
    find_python
    lock "$python"
    if ! is_current "$1"; then
        case $(cat "$made_from" 2>/dev/null) in
            "$(place)"*) begin; say "installing what changed into $venv" ;;
            *) make_environment ;;
        esac
        install "$1"
        recipe "$1" > "$made_from"
        say "ready after $(($(date +%s) - began)) s"
    fi
    exec 9<&-
}
