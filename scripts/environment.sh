# Sourced by run.sh, run_tests.sh and .ci/run, under any of sh, dash, bash and zsh.
#
#     ready_environment FOLDER REQUIREMENTS_FILE...
#
# makes the virtual environment FOLDER, puts what the files ask for into it, and sets $python to its
# interpreter. The second time it only sees that nothing has changed. It wants $script, the name to
# speak under, and $here, the checkout.

: "${script:?}" "${here:?}"

# In a shell of its own: nobody may read it any more, or it may be closed, and the run goes on.
say() {
    (printf '%s\n' "$script: $*" >&2) || :
}

# Nothing was sent: the status is the one of a wrong command.
give_up() {
    say "$*"
    exit 2
}

ready_environment() {
    folder=$1
    shift
    set_python
    if [ "$(environment_state "$@")" = "$(cat "$folder/installed" 2>/dev/null)" ]; then
        return
    fi
    # No pip: there is no environment yet, or it was left half made, or its Python has gone.
    "$python" -c 'import pip' 2>/dev/null || make_environment
    install_requirements "$@"
}

set_python() {
    python=$folder/bin/python
    if [ -e "$folder/Scripts/python.exe" ]; then # Windows
        python=$folder/Scripts/python.exe
    fi
}

# What has to stay as it is for the environment to be of use.
environment_state() {
    "$python" -S -c 'import sys; print(*sys.version_info[:2])' 2>/dev/null || echo none
    cat "$@"
}

make_environment() {
    find_base_python
    say "making ${folder##*/} with $base_python"
    "$base_python" -m venv --clear "$folder" || give_up "could not make $folder, see above"
    set_python
}

install_requirements() {
    rm -f "$folder/installed"
    state=$(environment_state "$@")
    for file in "$@"; do
        say "installing ${file#"$here/"} into ${folder##*/}"
        shift
        set -- "$@" -r "$file"
    done
    "$python" -m pip install --quiet --disable-pip-version-check "$@" ||
        give_up "pip could not install that, see above; run the same command to try again"
    printf '%s\n' "$state" >"$folder/installed"
}

# The first Python >= 3.11 that can make virtual environments.
find_base_python() {
    incomplete=
    for name in python3 python3.14 python3.13 python3.12 python3.11 python; do
        if suits "$name"; then
            return
        fi
    done
    if suits py -3; then # Windows
        return
    fi
    if [ -z "$incomplete" ]; then
        give_up "there is no Python 3.11 or newer: get one from https://www.python.org/downloads/"
    fi
    name=$("$incomplete" -c 'import sys; print("python%d.%d" % sys.version_info[:2], end="")')
    give_up "$incomplete cannot make virtual environments; this helps: sudo apt install $name-venv"
}

# Debian takes ensurepip out, and the environment would have no pip.
suits() {
    base_python=$("$@" -c '
import sys
if sys.version_info < (3, 11):
    sys.exit(1)
sys.stdout.write(sys.executable)
import ensurepip, venv
' 2>/dev/null) && return
    incomplete=${incomplete:-$base_python}
    return 1
}
