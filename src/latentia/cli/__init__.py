"""The `latentia` command: for each group of commands a file of signatures and one of actions.

A command imports its actions when it runs: they import torch, for which --help must not wait.
"""
