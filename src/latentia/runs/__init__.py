"""Run folders: create, open, build the plan."""
