"""Methods of a run that return tables: latents, near images, unusual images."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from latentia.api.run_images import RunImages
from latentia.core.parameters import require_at_least
from latentia.core.progress import enable_progress
from latentia.data import Split
from latentia.data.labels import SOURCE_LABELS, Labels
from latentia.data.reading import Reading
from latentia.data.splits import SPLIT_NAMES
from latentia.latents.clusters import Number, add_clusters
from latentia.latents.encoding import SAMPLE, LatentTable, encode_split
from latentia.latents.outliers import score_outliers
from latentia.latents.principal_axes import Axes, check_axes, find_principal_axes
from latentia.latents.table import (
    collect_table,
    encode_training_images,
    open_labelled_split,
)
from latentia.models.pretrained_features import open_encoder
from latentia.report.rendered_images import RenderedImages, render_neighbors, render_outliers
from latentia.runs.image_names import require_single
from latentia.training.launch import rank0_first

ALL_SPLITS = (*SPLIT_NAMES, "all")


class RunTables(RunImages):
    """Tables of the latents of a run's images, or of new ones."""

    def encode(
        self,
        images: Any = None,
        *,
        labels: Any = None,
        label_cols: Sequence[str] | None = None,
        axes: Axes = "own",
        clusters: Number | None = None,
        progress: bool = True,
    ) -> pd.DataFrame:
        """Encode images as a table of latents, one row each.

        Parameters
        ----------
        images : optional
            a split ("train", "validation", "test" or "all"), a folder, file or data set as in
            `train`, or new images as an array, a tensor or a list of files; the default is all
            images of the run
        labels : str, Path, array, Series or DataFrame, optional
            table of labels (.csv or .parquet), joined to the images by file name, or labels of all
            images in their order
        label_cols : sequence of str, optional
            label columns to use; by default all of `labels`, or of the data
        axes : {"own", "principal"}
            principal adds columns pc_0, ...: the posterior means along the principal axes of the
            aggregate posterior of training images, which have no correlation
        clusters : int or "auto", optional
            number of groups of similar images, whose numbers are the column cluster, 0 the largest
        progress : bool
            whether stderr shows the progress of long encodings

        Returns
        -------
        pandas.DataFrame
            key and split of each image, mu_0, ... and sd_0, ... of its posterior, rate (KL) and
            distortion in nats, mse per pixel of its decoded posterior mean, and the labels

        Raises
        ------
        Error
            if the model has no encoder, an image cannot be read, or the labels do not fit

        Examples
        --------
        >>> import latentia
        >>> table = latentia.load("runs/digits").encode("test")
        >>> table[["key", "split", "mu_0", "sd_0", "rate", "distortion", "mse", "label"]].shape
        (20, 8)
        """
        check_axes(axes)
        split_name = images if isinstance(images, str) and images in ALL_SPLITS else None
        if isinstance(images, str | Path) and split_name is None:
            rest: Any = {"labels": labels, "label_cols": label_cols, "axes": axes}
            rest |= {"clusters": clusters, "progress": progress}
            return self.with_data(images).encode("all", **rest)
        joined = Labels(labels, label_cols, "nan")
        with enable_progress(progress):
            rotation = None
            if axes == "principal":
                reference = self._encode_training_images()
                rotation = find_principal_axes(self.autoencoder, reference)
            if images is not None and split_name is None:
                names, keys, pixels, columns = self._read_images(images, None)
                keys = [key or name for key, name in zip(keys, names, strict=True)]
                reading = Reading.from_metadata(self.metadata["images"])
                columns = {k: v for k, v in columns.items() if k == self.folder.condition}
                split = Split("new", keys, columns, self.metadata["images"]["labels"], pixels, None)
                split = self.folder.align_condition(joined.join_to(split, keys, reading))
                names = None
            else:
                opened = rank0_first(lambda: self.images)
                split, names = open_labelled_split(self.folder, opened, split_name, joined)
            table = collect_table(self.autoencoder, split, names, rotation)
            if clusters is not None:
                table, _ = add_clusters(table, self.autoencoder.latent_shape, clusters)
            return table.to_pandas()

    def nearest(
        self, image: Any, n: int = 8, *, split: str | None = None, features: str | None = None
    ) -> pd.DataFrame:
        """Find the images of a split whose latents are nearest to those of an image.

        Parameters
        ----------
        image : array, tensor, file, key or row number
            one image
        n : int
            number of neighbours, at least 1
        split : {"train", "validation", "test", "all"}, optional
            split that is searched; the default is test
        features : {"efficientnet"}, optional
            search by the features of a pretrained network instead of the latents

        Returns
        -------
        pandas.DataFrame
            key, split, row in the given split, or among all images, distance in standard
            deviations of the prior (or in features), and the labels, nearest first

        Raises
        ------
        Error
            if the image cannot be read, or the weights of the features are missing

        Examples
        --------
        >>> import latentia
        >>> list(latentia.load("runs/digits").nearest(0, n=3).columns)
        ['key', 'split', 'row', 'distance', 'label']
        """
        return self.plot_nearest(image, n, split=split, features=features).table

    def plot_nearest(
        self, image: Any, n: int = 8, *, split: str | None = None, features: str | None = None
    ) -> RenderedImages:
        """Draw an image and the images of a split with the nearest latents.

        Parameters
        ----------
        image, n, split, features
            as in `nearest`

        Returns
        -------
        RenderedImages
            picture of the image and its neighbours, with their distances

        Raises
        ------
        Error
            if the image cannot be read

        Examples
        --------
        >>> import latentia
        >>> latentia.load("runs/digits").plot_nearest(0, n=3).images.shape
        torch.Size([4, 1, 28, 28])
        """
        require_at_least("-n", n, 1)
        searched = self._find_split(split, SOURCE_LABELS)
        (_, (key, *_), pixels, columns), mean = self._read_points(image, split)
        require_single(pixels)
        encoder: Any = self.autoencoder if features is None else open_encoder(features)
        if mean is None or features is not None:
            with self._use_labels(columns):
                mean = encoder.encode(pixels).mean
        table = encode_split(encoder, searched, SAMPLE)
        picture = render_neighbors(self.folder, encoder, key, (pixels, mean), searched, table, n)
        picture = self._add_split_names(picture, searched)
        if split is None:  # a row number without a split is one among all images
            rows = {each: row for row, each in enumerate(self.images.split("all").keys)}
            picture.table["row"] = picture.table["key"].map(rows)
        return picture

    def find_outliers(
        self, n: int = 24, *, by: str = "error", split: str | None = None
    ) -> pd.DataFrame:
        """Find images that the model reconstructs badly, or whose latents are unusual.

        Parameters
        ----------
        n : int
            number of images, at least 1
        by : {"error", "distance", "excess"}
            order of the images: squared error of the reconstruction (decoded posterior mean);
            distortion above that of a perfect reconstruction, in nats; or Mahalanobis distance of
            the posterior mean from the aggregate posterior of training images (at most 5,000)
        split : {"train", "validation", "test", "all"}, optional
            images to order, by default all; those of the training are often reconstructed better

        Returns
        -------
        pandas.DataFrame
            key, split, row, mse (squared error per pixel), distance if it gives the order, and the
            labels, the most unusual image first

        Raises
        ------
        Error
            if the model has no encoder, the training images cannot be read, or there is no such
            order

        Examples
        --------
        >>> import latentia
        >>> table = latentia.load("runs/digits").find_outliers(3, by="distance")
        >>> list(table.columns)
        ['key', 'split', 'row', 'mse', 'distance', 'label']
        """
        return self.plot_outliers(n, by=by, split=split).table

    def plot_outliers(
        self, n: int = 24, *, by: str = "error", split: str | None = None
    ) -> RenderedImages:
        """Draw the images of `find_outliers`, each beside its reconstruction.

        Parameters
        ----------
        n, by, split
            as in `find_outliers`

        Returns
        -------
        RenderedImages
            picture of the pairs, with key and value; `save` writes .png or .npy, and the table as
            .csv, .tsv or .json

        Raises
        ------
        Error
            as `find_outliers` does

        Examples
        --------
        >>> import latentia
        >>> latentia.load("runs/digits").plot_outliers(3).images.shape
        torch.Size([3, 1, 28, 56])
        """
        require_at_least("-n", n, 1)
        model, chosen = self.autoencoder, self._find_split(split, SOURCE_LABELS, default="all")
        scores = score_outliers(model, chosen, by, self._encode_training_images)
        picture = render_outliers(self.folder, model, chosen, scores, n)
        return self._add_split_names(picture, chosen)

    def _encode_training_images(self) -> LatentTable:
        return encode_training_images(self.folder, self.autoencoder, self.images)
