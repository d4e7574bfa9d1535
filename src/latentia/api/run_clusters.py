"""Methods of a run that group its images."""

from typing import Any

from latentia.api.run_tables import RunTables
from latentia.data.labels import Labels
from latentia.latents.clusters import Clusters, Number, find_clusters, weigh_dims
from latentia.latents.encoding import encode_split
from latentia.metrics.cluster_agreement import add_agreement
from latentia.report.cluster_sheet import render_clusters
from latentia.report.rendered_images import RenderedImages


class RunClusters(RunTables):
    """Groups of similar images."""

    def find_clusters(
        self, number: Number = "auto", *, split: str | None = None, labels: Any = None
    ) -> Clusters:
        """Group images by k-means of their latents, each dimension weighted by its rate (KL).

        Parameters
        ----------
        number : int or "auto"
            number of groups; auto chooses it by the gap statistic, and may find one group
        split : {"train", "validation", "test", "all"}, optional
            images to group; the default is all
        labels : str, Path, array, Series or DataFrame, optional
            labels that the groups are compared with; the default is those of the data

        Returns
        -------
        Clusters
            `labels`, the group of each image, 0 the largest; `distances` from the means of the
            groups; `gaps`; `stability` over resamples; `agreement` with labels, beside a PCA

        Raises
        ------
        Error
            if the model has no encoder, or the number is above that of different images

        Examples
        --------
        >>> import latentia
        >>> clusters = latentia.load("runs/digits").find_clusters(3, split="test")
        >>> clusters.labels.shape, len(clusters.sizes)
        ((20,), 3)
        """
        chosen = self._find_split(split, Labels(labels, missing="nan"), default="all")
        mean, sd, _ = encode_split(self.autoencoder, chosen)
        clusters = find_clusters(weigh_dims(mean, sd), number)
        return add_agreement(clusters, self.folder, self.images, chosen, mean.shape[1])

    def plot_clusters(self, number: Number = "auto", *, split: str | None = None) -> RenderedImages:
        """Draw the most typical and the strangest images of each group.

        Parameters
        ----------
        number, split
            as in `find_clusters`

        Returns
        -------
        RenderedImages
            picture with a row for each group; its `table` has the group of every image

        Raises
        ------
        Error
            as `find_clusters` does

        Examples
        --------
        >>> import latentia
        >>> latentia.load("runs/digits").plot_clusters(2, split="test").table.shape
        (20, 5)
        """
        chosen = self._find_split(split, Labels(missing="nan"), default="all")
        mean, sd, _ = encode_split(self.autoencoder, chosen)
        clusters = find_clusters(weigh_dims(mean, sd), number)
        return render_clusters(self.name, chosen, clusters)
