"""Methods of a run that return images: samples, reconstructions, traversals, interpolations."""

from collections.abc import Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor

from latentia.api.run_pictures import RunPictures
from latentia.latents.directions import Direction
from latentia.latents.principal_axes import Axes
from latentia.latents.traversal import Traversal
from latentia.report.rendered_images import reconstruct_images
from latentia.runs.sampling import parse_condition


class RunImages(RunPictures):
    """Images as tensors; each method has a `plot_` method that returns the picture."""

    def sample(
        self,
        n: int = 64,
        *,
        seed: int = 0,
        cond: Any = None,
        sampler: str | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        temperature: float | None = None,
    ) -> Float[Tensor, "n c h w"]:
        """Draw new images.

        Parameters
        ----------
        n : int
            number of images, at least 1
        seed : int
            seed of the random numbers; image k of a seed is the same for every n, up to rounding
        cond : optional
            condition, for a conditional model: a class by name or number, a list of classes that
            are taken in turn, an image file, or the row number of a test image
        sampler : {"ddpm", "ddim", "euler", "heun"}, optional
            solver with which a learned prior draws; the default is that of its recipe
        steps : int, optional
            steps of a learned prior from noise to latent; the default is that of its recipe
        guidance : float, optional
            strength of classifier-free guidance; 1 is the model as trained
        temperature : float, optional
            factor of the standard deviations of the prior of a VAE or GAN, at least 0; the default
            is 1

        Returns
        -------
        Tensor
            images (n, c, h, w) in [0, 1]

        Raises
        ------
        Error
            if the model has no such option or condition

        Examples
        --------
        >>> import latentia
        >>> latentia.load("runs/digits").sample(4, seed=1).shape
        torch.Size([4, 1, 28, 28])
        """
        sampling = {"sampler": sampler, "steps": steps, "guidance": guidance}
        sampling["temperature"] = temperature
        return self.plot_samples(n, seed=seed, cond=cond, **sampling).images

    def reconstruct(
        self, images: Any = None, *, n: int = 10, split: str | None = None, cond: Any = None
    ) -> Float[Tensor, "n c h w"]:
        """Decode the posterior means of images.

        Parameters
        ----------
        images : array, tensor, file, key, row number, or a list of these; optional
            images to reconstruct; the default is n of the split
        n : int
            number of images if `images` is left out: drawn by seed, in turn from each class
        split : {"train", "validation", "test", "all"}, optional
            split in which row numbers count; the default is test, or all for `images`
        cond : optional
            for a run that was trained with `cond`: a label with which all images are decoded, or a
            list of them, one after another; by default each image's own. Images without a label are
            encoded with it too

        Returns
        -------
        Tensor
            reconstructions (n, c, h, w) in [0, 1]

        Raises
        ------
        Error
            if the model has no encoder, or an image cannot be read

        Examples
        --------
        >>> import latentia
        >>> run = latentia.load("runs/digits")
        >>> run.reconstruct(run.sample(3)).shape
        torch.Size([3, 1, 28, 28])
        """
        batch, _ = self._read_or_draw(images, n, split)
        targets = parse_condition(self.folder, self.decoder, cond)
        return reconstruct_images(self.autoencoder, batch, targets)

    def decode(self, z: Any, *, cond: Any = None) -> Float[Tensor, "n c h w"]:
        """Decode latents.

        Parameters
        ----------
        z : DataFrame, array, tensor, rows of numbers, str or Path
            latents (n, d), in the order of the columns mu_0, mu_1, ... of `encode`, or
            (n, *latent); from a table, or its file, the columns mu_* are read
        cond : optional
            label of all images, or labels that are taken in turn, for a run that was trained with
            `cond`

        Returns
        -------
        Tensor
            images (n, c, h, w) in [0, 1]

        Raises
        ------
        Error
            if a row has not one finite number for each latent dimension

        Examples
        --------
        >>> import latentia
        >>> run = latentia.load("runs/digits")
        >>> run.decode([[0.0] * 20]).shape
        torch.Size([1, 1, 28, 28])
        """
        return self.plot_decoded(z, cond=cond).images

    def traverse(
        self,
        image: Any,
        dims: Any = None,
        *,
        steps: int = 9,
        split: str | None = None,
        axes: Axes = "own",
        toward: str | Direction | None = None,
        cond: Any = None,
    ) -> Traversal:
        """Change one latent dimension of an image at a time, over the range of the training images.

        Parameters
        ----------
        image : array, tensor, file, key or row number
            one image, or "FILE:ROW", a row of a table of latents
        dims : int, sequence of int or str, optional
            latent dimensions: a number k takes the k of highest rate (KL), [0, 3] these; the
            default is the 8 of highest rate
        steps : int
            values of each dimension, at least 2
        split : {"train", "validation", "test", "all"}, optional
            split in which a row number counts; the default is all
        axes : {"own", "principal"}
            dimensions of the model, or principal axes of the aggregate posterior, which have no
            correlation; the first has the largest variance
        toward : str or Direction, optional
            instead of dimensions, move along the direction of a label of the data, or along what
            `find_direction` returned
        cond : optional
            label with which images are decoded, as in `reconstruct`

        Returns
        -------
        Traversal
            `images` (k, steps, c, h, w) in [0, 1], `dims` and `values` (k, steps)

        Raises
        ------
        Error
            if the image cannot be read, or there is no such dimension

        Examples
        --------
        >>> import latentia
        >>> run = latentia.load("runs/digits")
        >>> run.traverse(0, dims=2, steps=5).images.shape
        torch.Size([2, 5, 1, 28, 28])
        """
        return self._traverse(image, dims, steps, split, axes, toward, cond)[0]

    def interpolate(
        self,
        images: Any,
        *,
        steps: int = 10,
        spherical: bool = False,
        split: str | None = None,
        cond: Any = None,
    ) -> Float[Tensor, "path c h w"]:
        """Interpolate from image to image in the latent space.

        Parameters
        ----------
        images : array, tensor, or a list of files, keys or row numbers
            two or more images; "FILE:ROW" is a row of a table of latents, also of a GAN
        steps : int
            images from each to the next, both ends included, at least 2
        spherical : bool
            follow arcs (slerp) instead of straight lines
        split : {"train", "validation", "test", "all"}, optional
            split in which row numbers count; the default is all
        cond : optional
            label with which images are decoded, as in `reconstruct`; by default the path leads from
            the label of each image to that of the next

        Returns
        -------
        Tensor
            path of (m - 1) (steps - 1) + 1 images for m given ones, (path, c, h, w) in [0, 1]

        Raises
        ------
        Error
            if images or steps are fewer than 2, or an image cannot be read

        Examples
        --------
        >>> import latentia
        >>> latentia.load("runs/digits").interpolate([0, 1, 2], steps=4).shape
        torch.Size([7, 1, 28, 28])
        """
        options: Any = {"steps": steps, "spherical": spherical, "split": split, "cond": cond}
        return self.plot_interpolation(images, **options).images

    def attribute(
        self, image: Any, dims: int | Sequence[int] | str | None = None, *, split: str | None = None
    ) -> Float[Tensor, "k c h w"]:
        """Measure how much each pixel changes with each latent dimension.

        Parameters
        ----------
        image : array, tensor, file, key or row number
            one image
        dims : int, sequence of int or str, optional
            latent dimensions, as in `traverse`
        split : {"train", "validation", "test", "all"}, optional
            split in which a row number counts; the default is all

        Returns
        -------
        Tensor
            change of each pixel (k, c, h, w) as a dimension moves by one standard deviation of the
            training images; 1 is from black to white

        Raises
        ------
        Error
            if the image cannot be read, or there is no such dimension

        Examples
        --------
        >>> import latentia
        >>> latentia.load("runs/digits").attribute(0, dims=[0, 1]).shape
        torch.Size([2, 1, 28, 28])
        """
        return self.plot_attribution(image, dims, split=split).images
