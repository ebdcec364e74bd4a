# Sourced by the other scripts: a Chromium, for tests of the page and for its screenshots.

chromium_flags=(
  --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
  --disable-component-update --disable-sync
)

# Prints the path of one; fails where there is none.
find_chromium() {
  local name
  if [ -n "${MTPBENCH_CHROMIUM:-}" ]; then
    echo "$MTPBENCH_CHROMIUM"
    return
  fi
  for name in chromium chromium-browser google-chrome; do
    command -v "$name" && return
  done
  return 1
}

# Installs one where none is and where it may.
ensure_chromium() {
  local log
  find_chromium >/dev/null && return
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null \
    || fail "the page is tested in Chromium, which is not here: apt install chromium, or name one in MTPBENCH_CHROMIUM"
  echo "installing Chromium with apt-get, for the tests of the page ..." >&2
  log=$(mktemp)
  { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium; } >"$log" 2>&1 \
    || fail "apt-get could not install chromium ($(tail -n 1 "$log")); install one, or name it in MTPBENCH_CHROMIUM"
  rm -f "$log"
}
