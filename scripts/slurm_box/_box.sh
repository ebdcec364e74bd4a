# Sourced by `up` and `down`: where a box lies and which processes are its own.

box=${1:-${TMPDIR:-/tmp}/mtpbench-slurm-box-$(id -u)}
conf=$box/etc/slurm.conf

# fail WHAT-IS-WRONG-AND-WHAT-TO-DO: one line, exit 3.
fail() { echo "slurm box: $*" >&2; exit 3; }

# ours PID: whether it runs, and for this box. A zombie has no command line and no environment: it is not.
ours() { [ -n "$1" ] && cat "/proc/$1/cmdline" "/proc/$1/environ" 2>/dev/null | grep -qaF -- "$box"; }

daemon() { cat "$box/run/$1.pid" 2>/dev/null; }

# job_processes: whatever still runs of the box's jobs, daemons that left their job included.
job_processes() {
  local environ
  for environ in /proc/[0-9]*/environ; do
    if grep -qzF "SLURM_CONF=$conf" "$environ" 2>/dev/null && grep -qz '^SLURM_JOB_ID=' "$environ" 2>/dev/null; then
      environ=${environ#/proc/}
      echo "${environ%/environ}"
    fi
  done
}
