"""The learned prior of a run's latents, which is another run."""

import filecmp
from contextlib import suppress

from latentia.core.errors import Error
from latentia.runs.build import AUTOENCODER
from latentia.runs.folder import RunFolder


def find_learned_prior(run: RunFolder) -> RunFolder | None:
    """Find the newest complete prior in the same folder that was learned for these weights.

    It has the run's classes: two runs on images with other labels may have equal weights.
    """
    copies = [path / AUTOENCODER / run.weights.name for path in run.path.parent.iterdir()]
    priors = []
    for copy in copies:
        with suppress(Error):  # a damaged run beside this one
            if copy.exists() and filecmp.cmp(copy, run.weights, shallow=False):
                priors.append(RunFolder.open(copy.parents[1]))
    labels = run.metadata["images"]["labels"]
    priors = [prior for prior in priors if prior.metadata["images"]["labels"] == labels]
    complete = [prior for prior in priors if prior.weights.exists()]
    return max(complete, key=lambda prior: prior.weights.stat().st_mtime, default=None)
