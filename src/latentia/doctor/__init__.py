"""The doctor: what ails a run, by which figures, what that means, and the command that mends it."""
