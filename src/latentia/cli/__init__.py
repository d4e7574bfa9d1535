"""The `latentia` command: `*_commands.py` declare options and help, `*_actions.py` do the work.

A command's actions import torch, for which --help must not wait.
"""
