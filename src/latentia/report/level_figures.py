"""Figure of the levels of a hierarchical VAE: what each adds, and its rate."""

from collections.abc import Sequence

import torch

from latentia.core.seeding import sample_normal_rows
from latentia.models.hvae import HVAE
from latentia.report.sections import Section, make_grid_section

N_COLUMNS = 10


@torch.no_grad()
def make_level_section(run_name: str, model: HVAE, rates: Sequence[float]) -> Section:
    """Return samples whose levels are drawn one after another, those below being at their means.

    rates: of each latent dimension, in nats.
    """
    z = sample_normal_rows(N_COLUMNS, model.latent_shape, seed=0, purpose="levels")
    rows, labels, end = [], [], 0
    for k, (size, rate) in enumerate(zip(model.level_sizes, model.sum_levels(rates), strict=True)):
        end += size
        with model.use_labels(N_COLUMNS):
            upper = torch.cat([z[:, :end], torch.zeros_like(z[:, end:])], 1)
            rows.append(model.decode(upper).cpu())
        labels.append(f"level {k + 1}\nz {end - size} to {end - 1}\n{rate:.1f} nats")
    caption = f"{run_name}: in each row one more level is drawn, seed 0, prior N(0, I)"
    images = torch.cat(rows)
    section = make_grid_section("Levels", images, N_COLUMNS, caption, row_labels=labels)
    text = (
        "Level 1 is the top. In row k the levels 1 to k are drawn from the prior, and those below "
        "are at the means of their priors. Beside a row: the latent dimensions of its level and "
        "their rate (KL)."
    )
    return section._replace(text=text)
