"""The learned prior of a run's latents, which is another run."""

import filecmp
from contextlib import suppress

from latentia.core.errors import Error
from latentia.runs.build import AUTOENCODER
from latentia.runs.folder import RunFolder
from latentia.training.checkpoint import read_metadata


def find_learned_prior(run: RunFolder) -> RunFolder | None:
    """Find the newest complete prior in the same folder that was learned for these weights.

    It has the run's classes: two runs on images with other labels may have equal weights.
    """
    priors, labels = [], run.metadata["images"]["labels"]
    with suppress(OSError):  # a folder that may not be listed
        for path in sorted(run.path.parent.iterdir()):
            with suppress(Error, OSError):  # a damaged run beside this one, or another's
                copy = path / AUTOENCODER / run.weights.name
                if copy.exists() and filecmp.cmp(copy, run.weights, shallow=False):
                    prior = RunFolder.open(path)
                    if prior.metadata["images"]["labels"] == labels and prior.is_complete:
                        read_metadata(prior.weights, check=False)  # no file, or a part of it
                        priors.append(prior)
    return max(priors, key=lambda prior: prior.weights.stat().st_mtime, default=None)
