"""The `latentia` command: a file of signatures and a file of actions for each group of commands."""
