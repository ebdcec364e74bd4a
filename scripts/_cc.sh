# Sourced by ./scripts/test: a C compiler, for the tests' stand-ins for the GPU vendors' libraries.

ensure_cc() {
  command -v cc >/dev/null && return
  { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; } || fail "needs a C compiler: install gcc"
  echo "installing gcc, for libraries that stand in for the GPU vendors' ..." >&2
  { apt-get update -qq && apt-get install -y -qq gcc libc6-dev; } >/dev/null 2>&1 || fail "apt-get could not install gcc"
}
