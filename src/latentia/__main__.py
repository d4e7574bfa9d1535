"""`python -m latentia` is the command, so that torchrun can start it."""

import os
import sys

if sys.path[0] == os.getcwd() and not sys.flags.safe_path:
    del sys.path[0]  # of `python -m`: a run in the current folder could bring modules

from latentia.cli.main import main

code = main()
if os.environ.get("WORLD_SIZE", "1") not in ("", "1"):
    # Everything is written. Threads of the collectives may still ask for Python while it is taken
    # down, which aborts the process and fails a launch that is whole.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)
raise SystemExit(code)
