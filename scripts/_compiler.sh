# Sourced by the other scripts: a C compiler, for the power libraries of our own that tests are held against.

# Installs one where none is and where it may.
ensure_compiler() {
  local log
  command -v cc >/dev/null && return
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null \
    || fail "the tests of power build a small library with cc, which is not here: apt install gcc libc6-dev"
  echo "installing gcc with apt-get, for the tests of power ..." >&2
  log=$(mktemp)
  { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends gcc libc6-dev; } >"$log" 2>&1 \
    || fail "apt-get could not install gcc ($(tail -n 1 "$log")); install one"
  rm -f "$log"
}
