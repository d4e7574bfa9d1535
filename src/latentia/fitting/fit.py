"""`latentia.fit`: coordinates, samples and a report of a set of images, in the minutes given."""

import math
import time
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

from latentia.api.epochs import check_epochs, check_minutes
from latentia.api.run import Run
from latentia.api.train_and_load import add_labels, load
from latentia.api.training import finish_training
from latentia.core.errors import Error
from latentia.core.files import make_file_name
from latentia.core.parameters import validate_parameters
from latentia.core.progress import enable_progress, print_note
from latentia.core.tensors import ImageTensor
from latentia.core.text import abbreviate_list
from latentia.data import Images, open_images
from latentia.data.reader import find_stretched_sizes
from latentia.data.reading import Reading
from latentia.data.sources.registry import LabelledData, SourceKind, make_source
from latentia.fitting import rules
from latentia.fitting.stages import Fit, FitContent, FitRequest, describe_values, read_content
from latentia.losses.likelihoods import BINARY_SHARE, create_likelihood
from latentia.models.pretrained_features import (
    BATCH,
    NAME,
    compute_features,
    is_installed,
    is_stored,
)
from latentia.modifiers.supervise import check_label_columns
from latentia.runs.folder import resolve_unnamed_path
from latentia.runs.images import describe_images
from latentia.runs.recipes import resolve_parameters
from latentia.training.device import find_device, use_threads
from latentia.training.plan import Options

NO_PRIOR = (
    "cond: the coordinates leave out {}; new images are drawn from N(0, I), since a learned prior "
    "needs a run without --cond."
)


def fit(
    data: Any,
    *,
    minutes: float = 10.0,
    run: str | Path | None = None,
    labels: Any = None,
    features: Literal["auto", "efficientnet", "none"] = "auto",
    progress: bool = True,
    **parameters: Any,
) -> Run:
    """Learn coordinates of a set of images and a prior to draw new ones, in the minutes given.

    An encoder and decoder are trained, then a learned prior of their latents. Then the table of
    all images and one report are written. The same call continues a fit that was killed.

    Parameters
    ----------
    data : str, Path, array, tensor or object
        folder, file or data set of images, as in `train`
    minutes : float
        time of the whole call; it gives the numbers of epochs
    run : str or Path, optional
        folder of the run, by default runs/ and the name of the data; the prior's ends in -prior
    labels : optional
        labels of the images, as in `train`
    features : {"auto", "efficientnet", "none"}
        pretrained features that the coordinates carry beside the pixels; auto takes those of
        efficientnet if its package is installed and they distinguish these images
    progress : bool
        whether stderr shows the progress, as in `train`
    **parameters
        parameters of the encoder's recipe, such as `latent` or `size`, in place of those that the
        rules choose; options of every training, such as `seed`; and `cond`, a label column, such as
        the plate, that the coordinates leave out, in a fit without a learned prior

    Returns
    -------
    Run
        the run of the encoder and decoder, with `latents.csv` and `report.html` in its folder

    Raises
    ------
    Error
        if there is no time for one epoch, the folder holds something else, or a parameter, the data
        or the labels are not usable
    KeyboardInterrupt
        if Ctrl-C or the kernel's interrupt stopped a training, after it was saved

    Examples
    --------
    >>> import latentia
    >>> run = latentia.fit("digits:60", minutes=1, run="runs/sixty", features="none", latent=4)
    >>> (run.path / "latents.csv").exists()
    True
    """
    validate_parameters("latentia.fit", fit, {"features": features})
    names = {field.name for field in fields(Options)} & parameters.keys()
    values = {name: parameters.pop(name) for name in names}
    if isinstance(labels, str | Path):
        values["labels"], labels = str(labels), None
    data, options = add_labels(data, labels), Options(**values)

    def train(folder: Any, events: Any, printed_lines: Any) -> int:
        finish_training(folder, events, progress, printed_lines)
        return 0

    with enable_progress(progress):
        request = make_request(data, minutes, run, {"features": features, **parameters}, options)
        Fit(request, train, print_note).run()
        return load(request.path, request.memory_data)


def make_request(
    data: Any, minutes: float, run: Any, parameters: dict[str, Any], options: Options
) -> FitRequest:
    """Open the images, and print what is understood of them."""
    begin, reason = time.perf_counter(), ""
    left_out = {"features": "auto", "cond": None}  # as if they were not given
    parameters = {k: v for k, v in parameters.items() if k not in left_out or v != left_out[k]}
    check_minutes(minutes)
    for name in ("init", "track"):  # which concern one of the trainings
        if getattr(options, name) is not None:
            raise Error(f"latentia fit takes no --{name}; leave it out, or use latentia train.")
    reading = Reading.from_options(options)
    if "features" not in parameters and reading.marks_missing:
        parameters["features"] = "none"
        reason = "since a pretrained network would see missing pixels"
    cond = parameters.get("cond")
    of_recipe = {name: v for name, v in parameters.items() if name != "cond"}
    resolve_parameters(rules.FIRST_RECIPE, of_recipe)  # errors appear before images are read
    check_epochs(rules.FIRST_RECIPE, parameters)
    device = find_device(options.device)
    labelled = data if options.labels is None else LabelledData(data, options.labels)
    source = make_source(labelled, reading)
    if run is None:
        place = Path("images" if source.kind == SourceKind.MEMORY else source.name)
        run = Path("runs") / make_file_name(place.stem if place.is_file() else place.name)
    path = resolve_unnamed_path(run)
    values = {"data": source.name, "minutes": minutes}
    saved = read_content(path, describe_values(values | parameters, options))
    if saved:  # what the rules chose then, whatever they would choose now
        parameters |= {name: v for name, v in saved["request"].items() if name in rules.CHOICES}
    sizes = open_images(source).source_sizes
    size = parameters.get("size") or rules.choose_size(sizes)
    images = open_images(source, size=size, channels=parameters.get("channels"))
    if cond is not None:
        check_label_columns("--cond", [cond], images)
    classes = {name: names for name, names in images.classes.items() if name != cond}
    facts = rules.ImageFacts(sizes, len(images.split("train")), classes)
    needs_sample = not saved and parameters.get("features") != "none"
    train = images.split("train")
    sample = train.subsample(rules.FEATURE_IMAGES)[:] if needs_sample else None
    if "features" not in parameters:
        condition = rules.choose_condition(facts)
        parameters["features"], reason = choose_features(images, sample, condition)
    if "augment" not in parameters:
        n = min(rules.COPIED_IMAGES, rules.COPIED_VALUES // math.prod(images.shape))
        parameters["augment"] = rules.choose_augment(train.subsample(max(2, n))[:])
    if "sharpen" not in parameters:
        parameters["sharpen"] = rules.choose_sharpening(parameters["features"])
    if sample is not None and parameters["features"] != "none":
        check_feature_time(images, sample, "flip" in parameters["augment"], minutes, options)
    described = describe_values(values | parameters, options)
    content = saved or FitContent(request=described, stages=[], commands=[], is_complete=False)
    request = FitRequest(data, images, facts, minutes, begin, path, parameters, options, content)
    printed_lines = describe_request(request, reason, str(device))
    for line in printed_lines:
        print_note(line)
    return request._replace(printed_lines=printed_lines)


def choose_features(images: Images, pixels: Any, column: str | None) -> tuple[str, str]:
    """Choose the features for images with these classes; return their name and why.

    pixels: a sample of the training images
    """
    if not is_installed():
        reason = "since those of efficientnet are not installed"
        return "none", f"{reason} (pip install 'latentia[photos]' adds them)"
    train = images.split("train")
    chosen, reason = rules.choose_features(pixels, compute_features(pixels), NAME)
    if chosen == "none" and column and images.levels.extreme_share < BINARY_SHARE:
        train = train.select((train.columns[column] >= 0).nonzero()[:, 0])
        labelled = train.subsample(rules.LABEL_IMAGES)
        if len(labelled) >= rules.FEATURE_IMAGES:  # fewer decide by chance
            pixels, labels = labelled[:], labelled.columns[column]
            comparison = rules.compare_classes(pixels, compute_features(pixels), labels, NAME)
            text = f"a linear classifier of {column} {comparison.text}"
            chosen = NAME if comparison.is_better else chosen
            reason = f"since {text}" if comparison.is_better else f"{reason}, and {text}"
    advice = "leaves them out" if chosen == NAME else "takes them"
    return chosen, f"{reason}; --features {'none' if chosen == NAME else NAME} {advice}"


def check_feature_time(
    images: Images, pixels: ImageTensor, has_flips: bool, minutes: float, options: Options
) -> None:
    """Raises: Error if features, which come before the first epoch, take too much of the minutes"""
    train = images.split("train")
    if is_stored(pixels) and (not has_flips or is_stored(pixels.flip(3))):
        return
    sample = pixels[:BATCH].to(find_device(options.device))
    needed = (len(images) + has_flips * len(train)) * time_features(sample, options.threads) / 60
    if needed > rules.MAX_FEATURE_SHARE * minutes:
        least = math.ceil(10 * needed / rules.MAX_FEATURE_SHARE) / 10
        raise Error(
            f"Features of {len(images):,} images take about {needed:.1f} minutes, which is too "
            f"much for latentia fit --minutes {minutes:g}; give at least --minutes {least:g}, or "
            "--features none."
        )


def time_features(pixels: ImageTensor, threads: int | None) -> float:
    """Return the seconds of an image, measured after a warm-up."""
    with use_threads(threads):
        compute_features(pixels)
        begin = time.perf_counter()
        compute_features(pixels).cpu()  # waits for a GPU
    return (time.perf_counter() - begin) / len(pixels)


def describe_request(request: FitRequest, reason: str, device: str) -> list[str]:
    """Describe in a few sentences what is understood, and what will be done.

    reason: for the features, if a rule chose them
    """
    images, facts, parameters = request.images, request.facts, request.parameters
    chosen = rules.choose_first_parameters(facts) | parameters
    _, height, width = images.shape
    listing = abbreviate_list(sorted({f"{h}x{w}" for h, w in facts.sizes}), 3)
    column = rules.choose_condition(facts)
    classes = facts.classes.get(column or "") or []
    names = ", ".join(classes[:10]) + (", ..." if len(classes) > 10 else "")
    cause = "no label fits" if facts.classes else "there is no label"
    groups = f"groups of similar latents, since {cause}"
    condition = f"{column} ({names})" if column else groups
    second, prior = f", {rules.PRIOR_RECIPE}", f"prior: conditioned on {condition}."
    if "cond" in parameters:
        second, prior = "", NO_PRIOR.format(parameters["cond"])
    likelihood = create_likelihood(parameters.get("likelihood", "auto"), images)
    is_stretched = find_stretched_sizes(facts.sizes, images.preprocessing)  # as a note says
    return [
        describe_images(images.to_metadata()),
        *images.notes,
        *(() if is_stretched else (f"Images of {listing}, read at {height}x{width}.",)),
        *filter(None, [rules.describe_shrinking(facts.sizes, max(height, width))]),
        prior,
        *(likelihood.notes or [f"likelihood: {type(likelihood).__name__}."]),
        f"features: {', '.join(filter(None, [parameters['features'], reason]))}.",
        f"augment: {parameters['augment']}; device: {device}.",
        f"In {request.minutes:g} minute{'s' * (request.minutes != 1)}, in {request.path}: "
        f"{rules.FIRST_RECIPE} with {chosen['latent']} coordinates{second}, table of all images, "
        "report.",
        *filter(None, [rules.describe_count(len(images))]),
    ]
