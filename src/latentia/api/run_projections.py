"""Methods of a run that find latents of given images by optimisation."""

from typing import Any

import pandas as pd
import torch

from latentia.api.run_maps import RunMaps
from latentia.core.parameters import require_at_least
from latentia.core.progress import show_progress
from latentia.latents.projection import project_image
from latentia.latents.table import tabulate_latents
from latentia.report.rendered_images import RenderedImages, render_projections


class RunProjections(RunMaps):
    """Latents of images for a model without an encoder, or better ones than the encoder's."""

    def project(self, images: Any, **options: Any) -> pd.DataFrame:
        """Find latents of images by optimisation.

        Parameters
        ----------
        images : array, tensor, file, key, row number, or a list of these
            images to draw with the model
        **options
            starts, steps, sigma, seed, split and cond, as in `plot_projections`

        Returns
        -------
        pandas.DataFrame
            key of each image, latents mu_0, ... that `decode` reads, their encoder, squared error
            per pixel, and that of the start

        Raises
        ------
        Error
            if an image cannot be read, or an option is out of its range

        Examples
        --------
        >>> import latentia
        >>> table = latentia.load("runs/digits").project([0, 1], steps=20)
        >>> bool((table["mse"] <= table["start_mse"]).all())
        True
        """
        return self.plot_projections(images, **options).table

    def plot_projections(
        self,
        images: Any,
        *,
        starts: int | None = None,
        steps: int = 300,
        sigma: float = 0.05,
        seed: int = 0,
        split: str | None = None,
        cond: Any = None,
    ) -> RenderedImages:
        """Draw images above what the model draws from the latents that are found for them.

        Each minimises |x - G(z)|^2 / (2 sigma^2) - log p(z), the negative log-density of latents
        under a Gaussian of each pixel and the prior.

        Parameters
        ----------
        images : array, tensor, file, key, row number, or a list of these
            images to draw with the model
        starts : int, optional
            random starts of each image, of which the best result is kept, at least 1; each is the
            best of 32 draws. The default is the posterior mean, or 4 without an encoder
        steps : int
            steps of Adam, at least 1
        sigma : float
            standard deviation of a pixel, more than 0: a larger one leaves the latents nearer to 0
        seed : int
            seed of the random starts
        split : {"train", "validation", "test", "all"}, optional
            split in which row numbers count; the default is all
        cond : optional
            label of all images, for a run that was trained with `cond`; by default each image's own

        Returns
        -------
        RenderedImages
            picture of both rows; its `images` hold the originals, then what was found, and its
            `table` the latents

        Raises
        ------
        Error
            if an image cannot be read, or an option is out of its range

        Examples
        --------
        >>> import latentia
        >>> run = latentia.load("runs/digits")
        >>> run.plot_projections(0, starts=1, steps=20).save("found.png").name
        'found.png'
        """
        require_at_least("--seed", seed, 0)
        names, keys, pixels, columns = self._read_images(images, split)
        model = self.decoder
        options: Any = {"starts": starts, "steps": steps, "sigma": sigma, "seed": seed}
        parts = []
        for k, _ in enumerate(show_progress([1] * len(pixels), len(pixels), "projection")):
            with self._use_labels({name: each[k : k + 1] for name, each in columns.items()}, cond):
                parts.append(project_image(model, pixels[k : k + 1], **options))
        z, decoded, mse, start_mse = map(torch.cat, zip(*parts, strict=True))
        keys = [key or name for key, name in zip(keys, names, strict=True)]
        table = tabulate_latents(z, keys, model)
        table = table.assign(mse=mse.cpu().numpy(), start_mse=start_mse.cpu().numpy())
        return render_projections(self.folder, torch.cat([pixels, decoded.cpu()]), table)
