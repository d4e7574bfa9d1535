"""The validation metric of a run, epoch by epoch, and its rise while the training loss falls."""

from typing import NamedTuple

import numpy as np

from latentia.core.contract import Role
from latentia.diagnostics.run_context import RunContext

# metrics that select weights; of them "nelbo" alone is measured where another one selects
SELECTING = ("joint", "over betas", "objective", "bound", "nelbo")
OVERFITTING_SHARE = 0.05  # of the total fall: validation noise is below 0.01


class Rise(NamedTuple):
    """Rise of the metric of this name since its best epoch, and its fall before."""

    name: str
    best_epoch: int
    last_epoch: int
    rise: float
    fall: float


def select_metric(context: RunContext) -> tuple[str, np.ndarray]:
    """Return the validation metric that selects the weights, epoch by epoch, else another that
    should fall; none with an adversary.
    """
    critic_loss = context.read_monitor("critic loss")
    if len(critic_loss) and np.isfinite(critic_loss[-1]):
        return "", np.empty(0)
    metrics = context.validation_rows[-1]["values"] if context.validation_rows else {}
    name = next((name for name in (*SELECTING, *metrics) if name in metrics), "")
    return name, context.read_validation_metric(name)


def find_overfitting(context: RunContext) -> Rise | None:
    """Return the rise of the validation metric, if the run overfits."""
    name, values = select_metric(context)
    if len(values) < 4:
        return None
    epochs = [row["epoch"] for row in context.validation_rows[-len(values) :]]
    best, epoch = values.min(), epochs[values.argmin()]
    rise, fall = float(values[-1] - best), float(values[0] - best)
    if not fall > 0 or rise <= OVERFITTING_SHARE * fall:
        return None
    if not _is_training_loss_falling(context, epoch):
        return None
    return Rise(name, epoch, epochs[-1], rise, fall)


def _is_training_loss_falling(context: RunContext, epoch: int) -> bool:
    """Whether a VAE's training loss fell after an epoch; if not, beta or a schedule rose."""
    distortion, rate = context.read_role(Role.RECONSTRUCTION), context.read_role(Role.KL)
    is_before = np.array([row.get("epoch", 0) <= epoch for row in context.training_rows])
    if not len(is_before) == len(distortion) == len(rate) or not is_before.any():
        return True
    nelbo = distortion + rate
    return bool(nelbo[-1] < nelbo[is_before][-1])


def count_extensible_epochs(context: RunContext) -> int:
    """Return the epochs of a run; 0 if it has none, or overfits: more would make it worse."""
    return 0 if find_overfitting(context) else context.parameters.get("epochs", 0)
