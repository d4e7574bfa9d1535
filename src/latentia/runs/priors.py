"""The learned prior of a run's latents, which is another run."""

import filecmp

from latentia.runs.build import AUTOENCODER
from latentia.runs.folder import RunFolder


def find_learned_prior(run: RunFolder) -> RunFolder | None:
    """Find the newest complete prior in the same folder that was learned for these weights."""
    copies = [path / AUTOENCODER / run.weights.name for path in run.path.parent.iterdir()]
    priors = [
        RunFolder.open(copy.parents[1])
        for copy in copies
        if copy.exists() and filecmp.cmp(copy, run.weights, shallow=False)
    ]
    complete = [prior for prior in priors if prior.weights.exists()]
    return max(complete, key=lambda prior: prior.weights.stat().st_mtime, default=None)
