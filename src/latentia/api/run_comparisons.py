"""Methods of a run that compare its coordinates with groups, labels, and those of another run."""

from collections.abc import Sequence
from typing import Any

from latentia.api.run_completions import RunCompletions
from latentia.core.errors import Error
from latentia.data.labels import SOURCE_LABELS, Labels
from latentia.latents.agreement import Agreement, measure_agreement
from latentia.latents.association import AssociationResult
from latentia.latents.clusters import Clusters, Number, find_clusters, weigh_dims
from latentia.latents.encoding import encode_split
from latentia.metrics.cluster_agreement import add_agreement
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.yardsticks import associate_images, tabulate_yardsticks
from latentia.models.pretrained_features import open_encoder
from latentia.report.cluster_sheet import render_clusters
from latentia.report.rendered_images import RenderedImages


class RunComparisons(RunCompletions):
    """Groups of a run's images, and what its coordinates share with labels and another run."""

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

    def compare(self, other: Any, *, split: str | None = None, features: str = "auto") -> Agreement:
        """Measure how well the latents of two runs agree on the same images.

        Parameters
        ----------
        other : Run
            a run that was trained on the same images, for instance with another seed
        split : {"train", "validation", "test", "all"}, optional
            images to compare on; the default is test
        features : {"auto", "efficientnet", "none"}
            whether both runs also stand beside PCAs of pixels and of a pretrained network's
            features; auto: for photographs with labels, where the network is installed

        Returns
        -------
        Agreement
            `canonical` correlations, falling; `explained` shares of variance, each way; `matched`,
            the best correlation of each dimension with one of the other run; `chance`, the mean
            canonical correlation of permuted images; `n` images; `yardsticks`, a DataFrame of
            squared errors and of labels read by linear probes, or None

        Raises
        ------
        Error
            if the runs have other images, there are not more images than dimensions, or the
            weights of the features are missing

        Examples
        --------
        >>> import latentia
        >>> run = latentia.load("runs/digits")
        >>> float(run.compare(run, split="all").canonical.min().round(6))
        1.0
        """
        if not isinstance(other, RunCompletions):
            raise Error(f"other is {other!r}; give an opened run, such as latentia.load('runs/b').")
        models = [each.autoencoder for each in (self, other)]
        ours, theirs = (each._find_split(split, SOURCE_LABELS) for each in (self, other))
        if ours.keys != theirs.keys:
            advice = "" if ours.name == "all" else "--split all, since a seed draws splits, and "
            raise Error(
                f"{self.path} and {other.path} have other images in the {ours.name} split; give "
                f"{advice}runs that were trained on the same images."
            )
        if features not in ("auto", "none"):
            open_encoder(features)
        first, second = (encode_split(model, ours).mean for model in models)
        agreement = measure_agreement(first, second)
        others = {other.folder.name: models[1]}
        evaluation = Evaluation(self.folder, self.images, ours, features, other_models=others)
        if not evaluation.sees_features:
            return agreement
        return agreement._replace(yardsticks=tabulate_yardsticks(evaluation, self.folder.name))

    def relate(
        self,
        labels: Any = None,
        *,
        label_cols: Sequence[str] | None = None,
        split: str | None = None,
        k: int = 5,
        permutations: int = 200,
        features: str | None = None,
    ) -> AssociationResult:
        """Find which latent dimensions carry information about which label.

        Parameters
        ----------
        labels : str, Path, array, Series or DataFrame, optional
            table of labels (.csv or .parquet), joined to the images by file name, or labels of all
            images in their order; the default is the labels of the data
        label_cols : sequence of str, optional
            label columns to use, by default all
        split : {"train", "validation", "test", "all"}, optional
            images to measure on; the default is test, and all if `with_data` gave other images
        k : int
            nearest neighbours predict from all dimensions, and from the first 1, 2, ... up to k by
            rate (KL)
        permutations : int
            random permutations of each label from which p-values are computed, at least 19
        features : {"efficientnet"}, optional
            also predict labels from a PCA of the features of a pretrained network, of as many
            dimensions, fitted to training images

        Returns
        -------
        AssociationResult
            `associations`, one for each label: `linear` and `neighbors`, the accuracy (or R^2) of
            predictions from all dimensions, with interval and measured chance; `features`, the same
            from the features' PCA, or None; `scores` from 1 to k dimensions; `information` (nats),
            its interval, share of the entropy and p for each dimension

        Raises
        ------
        Error
            if the images have no labels, are fewer than 20, or the weights of the features are
            missing

        Examples
        --------
        >>> import latentia
        >>> result = latentia.load("runs/digits").relate(split="all", k=2, permutations=19)
        >>> association = result.associations[0]
        >>> association.label, association.linear.method, association.information.shape
        ('label', 'logistic regression', (20,))
        """
        chosen = self._find_split(split, Labels(labels, label_cols, "nan"))
        evaluation = Evaluation(self.folder, self.images, chosen, features or "auto")
        result = associate_images(evaluation, k, permutations)
        return result._replace(notes=[*filter(None, [chosen.note]), *result.notes])
