# Shared by the scripts: a Python, a virtual environment, Debian's packages. Sourced, not run.

apt_install() { # packages...: as root on Debian and its kin; elsewhere say what is missing
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "missing: $* (install with your package manager, then run this again)" >&2
        return 1
    fi
    log=$(mktemp)
    for _ in 1 2 3; do
        if { [ -n "${apt_updated-}" ] || apt-get update -qq; } >"$log" 2>&1 &&
            DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 install -qq -y --no-install-recommends "$@" >>"$log" 2>&1; then
            apt_updated=yes
            rm -f "$log"
            return 0
        fi
        sleep 2
    done
    cat "$log" >&2
    rm -f "$log"
    return 1
}

mirror() { # print the Debian mirror of this machine's apt
    sources=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null || true)
    found=$(echo "$sources" | awk '/^URIs:/ { print $2; exit } $1 == "deb" { for (i = 2; i <= NF; i++) if ($i ~ /^http/) { print $i; exit } }')
    echo "${found:?no Debian mirror in the sources of apt}"
}

passed_already() { # lines, platform, suite, more...: is there a line from a commit that had the same plugin, tests and more?
    last=$(awk -F'\t' -v p="$2" -v s="$3" '$2 == p && $5 == s { last = $6 ~ /passed/ ? $3 : "" } END { print last }' "$1")
    of=${3%%::*}
    shift 3
    [ -n "$last" ] && git diff --quiet "$last" -- plugin tests ':!tests/left_out.txt' ':!tests/*/test_*.py' "$of" "$@" 2>/dev/null
}

find_python() { # print an interpreter of 3.10 or newer, by absolute path and never a shim
    names="/usr/bin/python3 python3 python3.14 python3.13 python3.12 python3.11 python3.10"
    if [ "$(uname -s)" = Darwin ]; then # Xcode's python3 is 3.9, and without Xcode a stub that opens a dialog
        names=
        for place in $(command -v python3 || :) /opt/homebrew/bin/python3 /usr/local/bin/python3 \
            python3.14 python3.13 python3.12 python3.11 python3.10; do
            [ "$place" = /usr/bin/python3 ] || names="$names $place"
        done
    fi
    for name in ${PYTHON:-$names}; do
        found=$("$name" -I -c 'import sys; print(sys.executable if sys.version_info >= (3, 10) else "")' 2>/dev/null) || continue
        [ -z "$found" ] || { printf '%s\n' "$found"; return 0; }
    done
    if [ -n "${PYTHON-}" ]; then
        echo "PYTHON=$PYTHON is no Python of 3.10 or newer" >&2
        return 1
    fi
    for uv in uv "$HOME/.local/bin/uv" /opt/homebrew/bin/uv; do # one that it has; nothing is fetched
        found=$("$uv" python find --system --no-python-downloads '>=3.10' 2>/dev/null) || continue
        [ -z "$found" ] || { printf '%s\n' "$found"; return 0; }
    done
    if [ "$(uname -s)" = Darwin ]; then
        echo "no Python of 3.10 or newer is here: brew install python3, or uv python install, then run this again" >&2
        return 1
    fi
    apt_install python3 && printf '%s\n' /usr/bin/python3
}

ensure_venv() { # python dir: make a virtual environment there unless a working one of that Python exists
    if [ -x "$2/bin/python" ] && "$2/bin/python" -m pip --version >/dev/null 2>&1; then return 0; fi
    rm -rf -- "$2"
    if ! "$1" -m venv "$2" >/dev/null 2>&1; then
        rm -rf -- "$2"
        apt_install python3-venv >&2 && "$1" -m venv "$2" && return 0
        rm -rf -- "$2"
        echo "$1 can't make a virtual environment: its venv module is missing (Debian: apt install python3-venv)" >&2
        return 1
    fi
}
