#!/bin/sh
# Runs set-up with a Python of 3.11 or newer: $PYTHON if given, else the first one found.
set -u
cd "$(dirname "$0")/../.." || exit 1

# usable PYTHON BELOW: whether PYTHON runs and is at least 3.11, and below 3.BELOW
usable() {
    command -v "$1" >/dev/null 2>&1 &&
        "$1" -c "import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, $2))" 2>/dev/null
}

# First those for which every package comes compiled, then newer ones.
for below in 14 99; do
    for python in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.14 python}; do
        if usable "$python" "$below"; then
            exec "$python" -B -m scripts.setup "$@"
        fi
    done
done

echo "Capek needs Python 3.11 or newer; found: $(${PYTHON:-python3} --version 2>&1 | head -n 1)." >&2
echo "Install one (Debian 12, Ubuntu 24.04: sudo apt install python3 python3-venv), or name one: make PYTHON=/path/to/python3.11 …" >&2
exit 1
