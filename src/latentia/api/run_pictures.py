"""Methods of a run that draw pictures, which notebooks show and `save` writes."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from latentia.api.run_directions import RunDirections
from latentia.core.contract import Batch
from latentia.core.parameters import require_at_least
from latentia.data import Split
from latentia.data.examples import draw_example_rows
from latentia.data.labels import SOURCE_LABELS
from latentia.latents import encoding
from latentia.latents.directions import Direction, traverse_direction
from latentia.latents.encoding import choose_dims
from latentia.latents.parsing import read_latents
from latentia.latents.principal_axes import Axes, PrincipalAxes, find_principal_axes
from latentia.latents.traversal import Traversal, traverse_dims
from latentia.report import rendered_images
from latentia.report.rendered_images import RenderedImages
from latentia.report.rendered_samples import render_samples
from latentia.runs.image_names import caption_image, require_single
from latentia.runs.sampling import parse_condition


class RunPictures(RunDirections):
    """Pictures; each holds `images`, the tensor that the method without `plot_` returns."""

    def plot_samples(
        self, n: int = 64, *, seed: int = 0, cond: Any = None, **sampling: Any
    ) -> RenderedImages:
        """Draw new images as a grid.

        Parameters
        ----------
        n : int
            number of images, at least 1
        seed : int
            seed of the random numbers
        cond : optional
            condition of the images, as in `sample`
        **sampling
            sampler, steps, guidance and temperature, as in `sample`

        Returns
        -------
        RenderedImages
            picture that notebooks show; `save("samples.png")` writes it (or .npy). Its `table` has
            the latents of the images, which `decode` reads; `save("z.csv")` (or .parquet) writes it

        Raises
        ------
        Error
            if the model has no such option or condition

        Examples
        --------
        >>> import latentia
        >>> latentia.load("runs/digits").plot_samples(4).save("samples.png").name
        'samples.png'
        """
        require_at_least("-n", n, 1)
        require_at_least("--seed", seed, 0)
        chosen = {name: value for name, value in sampling.items() if value is not None}
        return render_samples(self.folder, self.model, n, seed, chosen, cond, self._data)

    def plot_reconstructions(
        self, images: Any = None, *, n: int = 10, split: str | None = None, cond: Any = None
    ) -> RenderedImages:
        """Draw originals above their reconstructions.

        Parameters
        ----------
        images, n, split
            as in `reconstruct`
        cond : optional
            labels, one or several: each is a row of the images decoded with it, for a run of --cond

        Returns
        -------
        RenderedImages
            picture of both rows; its `images` hold the originals, then the reconstructions

        Raises
        ------
        Error
            if the model has no encoder, or an image cannot be read

        Examples
        --------
        >>> import latentia
        >>> latentia.load("runs/digits").plot_reconstructions(n=3).images.shape
        torch.Size([6, 1, 28, 28])
        """
        batch, title = self._read_or_draw(images, n, split)
        targets = parse_condition(self.folder, self.decoder, cond)
        render = rendered_images.render_reconstructions
        return render(self.folder, self.autoencoder, batch, title, targets)

    def plot_decoded(self, z: Any, *, cond: Any = None) -> RenderedImages:
        """Draw decoded latents.

        Parameters
        ----------
        z : DataFrame, array, tensor, rows of numbers, str or Path
            latents (n, d), as in `decode`
        cond : optional
            label of each image, or of all, as in `decode`

        Returns
        -------
        RenderedImages
            picture of one image for each row

        Raises
        ------
        Error
            if a row has not one finite number for each latent dimension

        Examples
        --------
        >>> import latentia
        >>> latentia.load("runs/digits").plot_decoded([[0.0] * 20]).save("decoded.png").name
        'decoded.png'
        """
        model = self.decoder
        latents = read_latents(z, model.latent_shape, encoding.identify_encoder(model))
        with self._use_labels({}, cond, len(latents[0])):
            return rendered_images.render_latents(self.folder, model, *latents)

    def plot_traversal(
        self,
        image: Any,
        dims: Any = None,
        *,
        steps: int = 9,
        split: str | None = None,
        axes: Axes = "own",
        toward: str | Direction | None = None,
        cond: Any = None,
    ) -> RenderedImages:
        """Draw one row for each latent dimension that changes, or for the direction of a label.

        Parameters
        ----------
        image, dims, steps, split, axes, toward, cond
            as in `traverse`

        Returns
        -------
        RenderedImages
            picture of the rows; `save` writes .png, .gif (an animation) or .npy. With `toward`,
            its `caption` says what the direction is worth, and its `table` what else moves with it

        Raises
        ------
        Error
            if the image cannot be read, or there is no such dimension

        Examples
        --------
        >>> import latentia
        >>> picture = latentia.load("runs/digits").plot_traversal(0, dims=2, steps=5)
        >>> picture.save("traversal.gif").name
        'traversal.gif'
        """
        arguments = image, dims, steps, split, axes, toward, cond
        traversal, pixels, name, direction = self._traverse(*arguments)
        n, render = len(self._latent_range.mean), rendered_images.render_traversal
        if direction:
            names = [f"the direction of {direction.toward}"]
            picture = render(self.folder, names, traversal, pixels, name, n)
            return picture._replace(caption=direction.text, table=direction.moving)
        model = self.decoder if axes == "own" else self._principal_axes
        names = [f"z {name}" for name in encoding.name_dims(model.latent_shape)]
        return render(self.folder, names, traversal, pixels, name, n)

    def plot_interpolation(
        self,
        images: Any,
        *,
        steps: int = 10,
        spherical: bool = False,
        split: str | None = None,
        cond: Any = None,
    ) -> RenderedImages:
        """Draw the path from image to image in the latent space.

        Parameters
        ----------
        images, steps, spherical, split, cond
            as in `interpolate`

        Returns
        -------
        RenderedImages
            picture of the path; `save` writes .png, .gif (an animation) or .npy

        Raises
        ------
        Error
            if images or steps are fewer than 2, or an image cannot be read

        Examples
        --------
        >>> import latentia
        >>> latentia.load("runs/digits").plot_interpolation([0, 1], steps=4).save("path.png").name
        'path.png'
        """
        (names, _, pixels, columns), means = self._read_points(images, split, cond)
        model = self._choose_model(means)
        render = rendered_images.render_walk
        with self._use_labels(columns, cond):
            return render(self.folder, model, names, pixels, steps, spherical, means)

    def plot_attribution(
        self, image: Any, dims: int | Sequence[int] | str | None = None, *, split: str | None = None
    ) -> RenderedImages:
        """Draw how much each pixel changes with each latent dimension.

        Parameters
        ----------
        image, dims, split
            as in `attribute`

        Returns
        -------
        RenderedImages
            figure with a map for each dimension; `save` writes .png, .svg or .npy

        Raises
        ------
        Error
            if the image cannot be read, or there is no such dimension

        Examples
        --------
        >>> import latentia
        >>> latentia.load("runs/digits").plot_attribution(0, dims=2).save("map.svg").name
        'map.svg'
        """
        names, _, pixels, columns = self._read_images(image, split)
        require_single(pixels)
        name = caption_image(names[0], split)
        table, render = self._training_table, rendered_images.render_attributions
        chosen_dims = choose_dims(dims, table.dims_by_kl)
        with self._use_labels(columns):
            return render(self.folder, self.autoencoder, pixels, name, table, chosen_dims)

    def _add_split_names(self, picture: RenderedImages, split: Split) -> RenderedImages:
        """Insert the column `split` of a picture's table."""
        images = split.select(torch.tensor(picture.table["row"].to_numpy()))
        picture.table.insert(1, "split", self.folder.membership(images, self.images))
        return picture

    def _traverse(
        self,
        image: Any,
        dims: Any,
        steps: int,
        split: str | None,
        axes: Axes,
        toward: str | Direction | None,
        cond: Any,
    ) -> tuple[Traversal, Tensor, str, Direction | None]:
        """Return a traversal, its image with a name, and the direction if it follows one."""
        direction = self._choose_direction(toward, dims, axes)
        (names, _, pixels, columns), mean = self._read_points(image, split, cond)
        require_single(pixels)
        name = caption_image(names[0], split) if mean is None else f"latents {names[0]}"
        model, table = self._choose_model(mean), self._latent_range
        rotation = self._principal_axes if axes == "principal" else None
        table = rotation.rotate_table(table) if rotation else table
        dims = None if direction else choose_dims(dims, table.dims_by_kl)
        with self._use_labels(columns, cond):
            mean = model.encode(pixels).mean if mean is None else mean
            if direction:
                traversal = traverse_direction(model, mean, table, direction, steps)
            elif rotation:
                mean, _ = rotation.rotate(mean, None)
                traversal = traverse_dims(rotation, pixels, table, dims, steps, mean)
            else:
                traversal = traverse_dims(model, pixels, table, dims, steps, mean)
        return traversal, pixels, name, direction

    @cached_property
    def _principal_axes(self) -> PrincipalAxes:
        return find_principal_axes(self.autoencoder, self._training_table)

    def _read_or_draw(self, images: Any, n: int, split_name: str | None) -> tuple[Batch, str]:
        """Read images, or else draw n of a split, each class in turn."""
        if images is not None:
            return Batch(*self._read_images(images, split_name)[2:]), "images"
        require_at_least("-n", n, 1)
        split = self._find_split(split_name, SOURCE_LABELS)
        batch = split.get_batch(draw_example_rows(split, n))
        return batch, f"{split.name} images, drawn by seed"
