"""Run folders: create them, open them, build their plans."""
