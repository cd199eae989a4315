# Shared by scripts/demo and scripts/test: a virtual environment that is made once.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bin="$root/.venv/bin"
log="$root/.venv/install.log"

say() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; }
fail() { say "$*"; exit 1; }

find_python() {
    local name
    for name in python3 python3.14 python3.13 python3.12 python3.11 python; do
        if "$name" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$name"
            return
        fi
    done
    fail "needs Python 3.11 or newer with venv (Debian: apt-get install python3-venv)"
}

# prepare EXTRAS: .venv with ragvis[EXTRAS] in it, installed anew only when the wanted list changed.
prepare() {
    local extras=$1 stamp python
    stamp="$root/.venv/installed-${extras//,/-}"
    wanted=$(cat "$root/pyproject.toml" "$root/scripts/constraints.txt" | cksum)
    if [ -x "$bin/ragvis" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
        return
    fi
    python=$(find_python) || exit 1
    say "making .venv with $("$python" --version) and installing (once; PyTorch is several GB)"
    "$python" -m venv "$root/.venv" || fail "could not make .venv"
    if ! "$bin/python" -m pip install --disable-pip-version-check --no-input \
        --constraint "$root/scripts/constraints.txt" --editable "$root[$extras]" 2>&1 |
        tee "$log" | show_progress; then
        fail "pip failed: $(grep -E '^ERROR' "$log" | tail -n 1) (all of it: $log)"
    fi
    echo "$wanted" >"$stamp"
}

# One line a package, overwritten in place on a terminal, every twentieth one elsewhere.
show_progress() {
    awk -v tty="$([ -t 2 ] && echo 1)" '
        /^(Collecting|Installing)/ {
            n++
            name = $1 " " ($1 == "Installing" ? n " packages" : $2)
            if (tty) printf "\r\033[K  %s", name > "/dev/stderr"
            else if (n % 20 == 1 || $1 == "Installing") print "  " name > "/dev/stderr"
            fflush("/dev/stderr")
        }
        END { if (tty) printf "\r\033[K" > "/dev/stderr" }'
}
