# Sourced by the other scripts: a virtual environment with mtpbench in it, made when it is missing or out of date.
# Sets `bin`, the folder of its programs. Takes the extras to install: `ensure_venv ""` or `ensure_venv "[dev]"`.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# fail WHAT-IS-WRONG-AND-WHAT-TO-DO: one line, exit 3.
fail() { echo "mtpbench set-up: $*" >&2; exit 3; }

find_python() {
  local candidate
  for candidate in "${PYTHON:-python3}" python3.14 python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  fail "needs python 3.11 or newer; install one, or name it: PYTHON=/path/to/python3.12 $0"
}

ensure_venv() {
  local extras=$1 venv=$root/.venv stamp python log
  # The stamp is written last: a set-up that was interrupted is done again.
  stamp=$venv/.mtpbench-$(echo "$extras" "$root" | cat - "$root/pyproject.toml" | cksum | cut -d' ' -f1)
  bin=$venv/bin
  [ -e "$stamp" ] && return
  python=$(find_python) || exit 3
  log=$(mktemp)
  echo "setting up mtpbench in .venv ..." >&2
  "$python" -m venv "$venv" >"$log" 2>&1 \
    || fail "python -m venv failed ($(tail -n 1 "$log")); on Debian and Ubuntu: apt install python3-venv"
  "$bin/python" -m pip install --quiet --disable-pip-version-check --editable "$root$extras" >"$log" 2>&1 \
    || fail "pip could not install mtpbench ($(grep -v '^WARNING' "$log" | tail -n 1)); check the network and pip's settings"
  rm -f "$log"
  touch "$stamp"
}
