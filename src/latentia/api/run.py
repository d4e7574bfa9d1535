"""The run that a user holds."""

import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from latentia.api.run_comparisons import RunComparisons
from latentia.core.errors import Error
from latentia.core.progress import enable_progress
from latentia.diagnostics.diagnose import DiagnosticReport, diagnose_run, read_kept_report
from latentia.export import hub
from latentia.export.formats import export_model
from latentia.metrics.measure import keep_result, make_table, measure_run
from latentia.metrics.result import MetricTable
from latentia.report.model_card import format_model_card
from latentia.report.page import write_report
from latentia.runs.hub import check_recipe_is_ours
from latentia.runs.priors import find_learned_prior
from latentia.training.launch import rank0_first


class Run(RunComparisons):
    """A trained run: its model, images, log, and everything that can be done with them.

    `latentia.train`, `latentia.resume` and `latentia.load` return it. Every method does what the
    command of its name does, and `find_outliers` what `latentia outliers` does. An image is given
    as an array or tensor, a file name, a key of the table that `encode` returns, or a row number in
    the run's images.

    Parameters
    ----------
    folder : RunFolder
        the run folder
    data : optional
        the run's images if they have moved or were an array in memory, or other images

    Attributes
    ----------
    path, name : Path, str
        the folder and its name
    model : Model
        the trained model, a torch module in evaluation mode
    autoencoder : Model
        the model that encodes images: the model itself, or that of a learned prior
    images : Images
        the images, with their splits
    metadata : dict
        content of run.json: recipe, parameters, options, machine
    options : Options
        options of the training
    log : pandas.DataFrame
        rows of log.jsonl: training steps, validations and findings
    is_complete : bool
        whether the training has ended

    Examples
    --------
    >>> import latentia
    >>> run = latentia.load("runs/digits")
    >>> run
    Run('runs/digits': mnist_mlp_vae; digits:200: 165 train, 15 validation, 20 test; 28x28 grey...)
    >>> run.metadata["recipe"]
    'mnist_mlp_vae'
    >>> run.model.encode(run.sample(2)).mean.shape
    torch.Size([2, 20])
    """

    def evaluate(
        self,
        *metrics: str | Sequence[str],
        split: str | None = None,
        n: int | None = None,
        features: str = "auto",
        k: int = 5000,
        seed: int = 0,
        progress: bool = True,
    ) -> MetricTable:
        """Measure likelihood, quality of samples and reconstructions, or copies of training images.

        Results on the run's own images are also kept in its evaluation.json.

        Parameters
        ----------
        *metrics : str, or a list of str
            one or more of "elbo", "pca", "probe", "nuisance", "nll", "fd", "kd", "prdc", "image",
            "memorisation" and "disentanglement"; the default is "elbo", "pca" and (with labels)
            "probe", or "fd" for a model without an encoder
        split : {"train", "validation", "test", "all"}, optional
            images to measure on; the default is test, and all if `with_data` gave other images
        n : int, optional
            number of images, at least 2; by default all, but for distances at most 10,000
        features : {"auto", "classifier", "pixels", "efficientnet", "inception", "dinov2"}
            feature space in which distances between sets of images are measured
        k : int
            importance samples per image of "nll", at least 1
        seed : int
            seed of the random numbers
        progress : bool
            whether stderr shows the progress of long measurements

        Returns
        -------
        MetricTable
            results, each with name, value, error (standard error), interval (95 %), n, split and
            unit; by position, by name, or as `to_frame()`

        Raises
        ------
        Error
            if there is no such metric, or the model or the images do not allow it

        Examples
        --------
        >>> import latentia
        >>> results = latentia.load("runs/digits").evaluate("elbo")
        >>> results["nelbo_nats"].n, results["nelbo_nats"].split
        (20, 'test')
        >>> low, high = results["nelbo_nats"].interval
        """
        settings = {"features": features, "n": n, "k": k, "seed": seed}
        lists: list[Any] = [x if isinstance(x, list | tuple) else [x] for x in metrics]
        names = [name for each in lists for name in each]
        with enable_progress(progress):
            images = rank0_first(lambda: self.images)
            result = measure_run(self.folder, images, split, names, settings)
            try:
                keep_result(self.folder, images, result)
            except Error as problem:
                warnings.warn(f"The results are not kept: {problem}", stacklevel=2)
        return make_table(result["metrics"])

    def diagnose(self) -> DiagnosticReport:
        """Find problems of the run, with their evidence, their consequence and suggested commands.

        Returns
        -------
        DiagnosticReport
            `verdict`, one sentence, `findings`, the most severe first, and `to_frame()`, a table of
            all images that the findings are about: key, finding, value and same_as

        Examples
        --------
        >>> import latentia
        >>> report = latentia.load("runs/digits").diagnose()
        >>> [finding.kind for finding in report.findings]
        ['few steps', 'images not learned', 'too few images']
        """
        return diagnose_run(self.folder, data=self._data)

    def report(self) -> Path:
        """Write the run's report.html again.

        Returns
        -------
        Path
            the page, one file with all its figures

        Raises
        ------
        Error
            if the run's images are missing or have changed

        Examples
        --------
        >>> import latentia
        >>> latentia.load("runs/digits").report().name
        'report.html'
        """
        images = self.folder.images(self._data, same=True)
        prior = find_learned_prior(self.folder)
        of_prior = read_kept_report(prior) if prior else None
        diagnosis = diagnose_run(self.folder, images, self._data)
        return write_report(self.folder, images, diagnosis, of_prior)

    def export(self, to: str = "onnx", out: str | Path | None = None) -> Path:
        """Write the model for other programs, after a comparison with PyTorch.

        Parameters
        ----------
        to : {"onnx", "diffusers"}
            format to write; diffusers takes runs of image_autoencoder
        out : str or Path, optional
            folder to write; the default is the run's folder with the suffix -onnx or -diffusers

        Returns
        -------
        Path
            the folder

        Raises
        ------
        Error
            if there is no such format, a package is missing, or the model cannot be exported

        Examples
        --------
        >>> import latentia
        >>> latentia.load("runs/digits").export("keras")
        Traceback (most recent call last):
        latentia.core.errors.Error: There is no format keras; --to is one of onnx, diffusers.
        """
        return export_model(self.folder, to, out, self._data)

    def push(self, name: str, *, private: bool = False, originals: bool = True) -> str:
        """Share the run on the hub: weights, settings without paths, pictures and a model card.

        Parameters
        ----------
        name : str
            "OWNER/NAME", a repository on the Hugging Face hub, which is created if there is none
        private : bool
            create a repository that only its owner can see
        originals : bool
            include ten test images above their reconstructions, if the images are at hand

        Returns
        -------
        str
            address of the repository

        Raises
        ------
        Error
            if there is no token, or the run cannot be shared

        Examples
        --------
        >>> import latentia
        >>> latentia.load("runs/digits").push("no name")
        Traceback (most recent call last):
        latentia.core.errors.Error: no name is no name on the hub; write OWNER/NAME, ...
        """
        folder, name = self.folder, hub.check_repository(name)
        check_recipe_is_ours(folder.metadata, str(folder.path))
        pictures = {"samples": self.plot_samples()}
        with suppress(Error):  # a run without an encoder, or without its images, has none
            if originals:
                pictures["reconstructions"] = self.plot_reconstructions(split="test")
        report = self.diagnose()
        public = replace(folder, metadata=hub.strip_folders(folder.metadata))
        text = format_model_card(public, name, list(pictures), report.verdict, report.findings)
        files = {f"pictures/{key}.png": each.encoders[".png"]() for key, each in pictures.items()}
        files["README.md"] = hub.FOLDER_PATTERN.sub("", text).encode()
        return hub.push_run(folder, name, files, private)
