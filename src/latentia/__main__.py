"""`python -m latentia` is the command, so that torchrun can start it."""

from latentia.cli import main

raise SystemExit(main())
