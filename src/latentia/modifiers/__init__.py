"""Modifiers, one a file: functions from a Plan to a Plan."""
