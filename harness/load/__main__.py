"""`python -m harness.load`: a worker; it is started by `workers` and by nobody else."""

from harness.load.worker import main

main()
