# Sourced by scripts/run and scripts/test: makes .venv in the repository root and installs moodring into it.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$root/.venv

say() { printf 'moodring set-up: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

# as_root COMMAND...: run it with the rights to install packages, if that works without asking for a password.
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then sudo -n "$@"
    else return 1
    fi
}

# install_system_packages PACKAGE...: by apt, if there is apt and it may be used.
install_system_packages() {
    command -v apt-get >/dev/null && as_root true || return 1
    say "installing $* with apt-get"
    as_root env DEBIAN_FRONTEND=noninteractive sh -c '
        apt-get install -y -q --no-install-recommends "$@" ||
        { apt-get update -q && apt-get install -y -q --no-install-recommends "$@"; }' sh "$@" >&2
}

has_library() { ldconfig -p 2>/dev/null | grep -q "$1" || /sbin/ldconfig -p 2>/dev/null | grep -q "$1"; }

need_portaudio() {
    [ "$(uname -s)" = Linux ] || return 0  # the packages for macOS and Windows bring their own
    has_library libportaudio.so.2 && return 0
    install_system_packages libportaudio2 && return 0
    say "PortAudio is missing; files and pipes work, microphones need: sudo apt-get install libportaudio2"
}

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.10}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
            command -v "$candidate"
            return 0
        fi
    done
    fail "Python 3.10 or newer is needed; install it: sudo apt-get install python3 python3-venv"
}

make_venv() {
    local python=$1
    [ -x "$venv/bin/pip" ] && return 0
    rm -rf "$venv"
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        local version
        version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        install_system_packages "python$version-venv" || install_system_packages python3-venv ||
            fail "Python's venv module is missing; install it: sudo apt-get install python3-venv"
    fi
    "$python" -m venv "$venv" || fail "could not make $venv"
}

# pip_install ARGUMENT...: with the pinned versions, of what builds the project too, where --constraint is not enough.
pip_install() {
    # the variables hold lists, and so no path with a space
    (cd "$root" && PIP_CONSTRAINT=scripts/constraints.txt PIP_BUILD_CONSTRAINT=scripts/constraints.txt \
        "$venv/bin/python" -m pip install --disable-pip-version-check --quiet --progress-bar off "$@" >&2) ||
        fail "pip could not install moodring; a network connection is needed the first time"
}

# set_up KIND REQUIREMENT: install once, and again only when what is to be installed has changed.
set_up() {
    local kind=$1 requirement=$2 stamp wanted
    stamp=$venv/set-up-$kind
    [ "$kind" = run ] && [ -e "$venv/set-up-test" ] && stamp=$venv/set-up-test  # it has everything that run needs
    wanted=$(cat "$root/pyproject.toml" "$root/scripts/constraints.txt" | cksum)
    need_portaudio
    [ -x "$venv/bin/moodring" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && return 0
    local python
    python=$(find_python)
    make_venv "$python"
    say "installing moodring into $venv; this takes a few minutes once"
    pip_install --editable "$requirement"
    # the large model's ear, and the teacher of notes: only their weights are read, so TensorFlow, which they ask for,
    # is left out
    [ "$kind" = run ] || pip_install --no-deps musicnn basic-pitch
    printf '%s\n' "$wanted" >"$stamp"
}
