"""Methods of a run that search what is hidden of given images: their latents, or pixels."""

from typing import Any

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from latentia.api.run_maps import RunMaps
from latentia.core.errors import Error
from latentia.core.memory import check_picture_memory
from latentia.core.missing import MASK_COLUMN
from latentia.core.parameters import require_at_least
from latentia.core.progress import show_progress
from latentia.data.preprocess import read_mask
from latentia.latents.completion import complete_images
from latentia.latents.projection import project_image
from latentia.latents.table import tabulate_latents
from latentia.models.latent_diffusion import LatentDiffusion
from latentia.nets.column_condition import use_columns
from latentia.report.rendered_images import RenderedImages, render_projections
from latentia.report.rendered_samples import render_completions
from latentia.runs.sampling import parse_condition


class RunCompletions(RunMaps):
    """Latents of given images by optimisation, and draws of their hidden pixels."""

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

    def complete(
        self, images: Any, mask: Any = None, *, samples: int = 8, **options: Any
    ) -> Float[Tensor, "n samples c h w"]:
        """Draw the hidden pixels of images.

        Parameters
        ----------
        images : array, tensor, file, key, row number, or a list of these
            images to complete
        mask : array, tensor or file, optional
            mask of all images, white (or True) where pixels are observed, black where they are to
            be drawn; by default the missing pixels of each image, of a run with `missing`
        samples : int
            number of draws of each image, at least 1
        **options
            steps, seed, split and cond, as in `plot_completions`

        Returns
        -------
        Tensor
            completed images (n, samples, c, h, w) in [0, 1], whose observed pixels are unchanged

        Raises
        ------
        Error
            if no pixel is hidden, an image or the mask cannot be read, or the model draws no pixels

        Examples
        --------
        >>> import latentia, torch
        >>> mask = torch.ones(28, 28)
        >>> mask[:, 14:] = 0  # the right half is hidden
        >>> latentia.load("runs/digits").complete([0, 1], mask, samples=3, steps=5).shape
        torch.Size([2, 3, 1, 28, 28])
        """
        picture = self.plot_completions(images, mask, samples=samples, **options)
        return picture.images.unflatten(0, (-1, 1 + samples))[:, 1:]

    def plot_completions(
        self,
        images: Any,
        mask: Any = None,
        *,
        samples: int = 8,
        steps: int | None = None,
        seed: int = 0,
        split: str | None = None,
        cond: Any = None,
    ) -> RenderedImages:
        """Draw images without their hidden pixels, beside draws of these.

        A VAE alternates between latents and hidden pixels (pseudo-Gibbs sampling, Rezende et al.
        2014); a diffusion of pixels keeps the observed pixels at each step (Song et al. 2021).

        Parameters
        ----------
        images, mask, samples
            as in `complete`
        steps : int, optional
            rounds of a VAE, by default 20; or steps of a diffusion of pixels from noise to image,
            by default those of its recipe
        seed : int
            seed of the random numbers
        split : {"train", "validation", "test", "all"}, optional
            split in which row numbers count; the default is all
        cond : optional
            label of all images, for a run that was trained with `cond`; by default a VAE takes each
            image's own, and a diffusion none

        Returns
        -------
        RenderedImages
            picture of one row for each image; its `images` hold the image, whose hidden pixels are
            NaN, then its draws

        Raises
        ------
        Error
            as in `complete`

        Examples
        --------
        >>> import latentia, torch
        >>> run, mask = latentia.load("runs/digits"), torch.ones(28, 28)
        >>> mask[:14] = 0  # the upper half is hidden
        >>> run.plot_completions(0, mask, samples=4, steps=5).save("completed.png").name
        'completed.png'
        """
        require_at_least("--seed", seed, 0)
        require_at_least("--samples", samples, 1)
        model, (_, _, pixels, columns) = self.model, self._read_images(images, split)
        if not isinstance(model, LatentDiffusion) or model.is_latent:
            model = self.autoencoder
        check_picture_memory(len(pixels) * (1 + samples), pixels.shape[1:], "--samples")
        own = columns.get(MASK_COLUMN)
        if mask is None:
            observed = torch.ones_like(pixels[:, :1]) if own is None else own
            columns = {name: each for name, each in columns.items() if name != MASK_COLUMN}
        else:  # what is missing besides stays missing
            observed = read_mask(mask, self.folder.stored_images.preprocessing)
            observed = observed.expand(pixels[:, :1].shape)
            observed = observed if own is None else observed.where(own > 0, 1)
        if bool(observed.all()):
            raise Error("No pixel is hidden; give --mask, a picture that is black where some are.")
        target = parse_condition(self.folder, model, cond, 1)
        options: Any = {"steps": steps, "seed": seed, "cond": target}
        with use_columns(model, columns, target):
            draws = complete_images(model, pixels, observed, samples, **options)
        return render_completions(self.folder, pixels.where(observed > 0, torch.nan), draws)
