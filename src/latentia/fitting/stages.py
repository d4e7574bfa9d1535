"""Stages of `latentia fit`: each is planned when it starts, and stored in fit.json beforehand."""

import inspect
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

from latentia.api.epochs import TooShortError, choose_epochs
from latentia.api.run import Run
from latentia.api.train_and_load import load
from latentia.api.training import Modifiers, resume_run, start_run
from latentia.core.errors import Error, catch_write_errors
from latentia.core.folders import refuse_special_files
from latentia.core.locks import hold_lock
from latentia.core.progress import enable_progress
from latentia.data import Images
from latentia.data.labels import SOURCE_LABELS
from latentia.data.sources.registry import LabelledData, SourceKind, describe_labels
from latentia.diagnostics.command_text import (
    DATA,
    LABELS,
    format_call,
    format_command,
    format_flags,
)
from latentia.fitting import rules
from latentia.latents.table import open_labelled_split, write_table
from latentia.runs.create import FIT_FILE, find_new_folder
from latentia.runs.folder import RunFolder
from latentia.runs.modifiers import take_modifiers
from latentia.runs.recipes import find_recipe
from latentia.training.checkpoint import read_json, write_json
from latentia.training.events import Event
from latentia.training.plan import Options

LOCK_FILE, TABLE_FILE = "fit.lock", "latents.csv"
REPORT_FILES = "report.html", "evaluation.json"  # the first report of coordinates has no figures
# reads events, without the lines that were printed before; returns an exit code
TrainFunction = Callable[[RunFolder, Iterator[Event], Sequence[str]], int]


class Stage(TypedDict):
    """A training of a fit; seconds: planned for it, of which `end` for diagnosis and report."""

    recipe: str
    run: str
    parameters: dict[str, Any]
    seconds: float
    end: float


class FitContent(TypedDict):
    """Content of fit.json; commands: those that ran."""

    request: dict[str, str | bool]
    stages: list[Stage]
    commands: list[str]
    is_complete: bool


class FitRequest(NamedTuple):
    """What a user asks for.

    begin: when, on the clock of `time.perf_counter`. parameters: of the first recipe, in the place
    of those that the rules choose; with `cond` there is no prior. content: what fit.json holds, or
    will. printed_lines: lines on the images that were printed.
    """

    data: Any
    images: Images
    facts: rules.ImageFacts
    minutes: float
    begin: float
    path: Path
    parameters: dict[str, Any]
    options: Options
    content: FitContent
    printed_lines: Sequence[str] = ()

    @property
    def has_prior(self) -> bool:
        return "cond" not in self.parameters

    @property
    def is_in_memory(self) -> bool:
        source = self.images.source
        return SourceKind.MEMORY in (source.kind, *describe_labels(source.labels).values())

    @property
    def memory_data(self) -> Any:
        """The images, if a run does not find them at an address."""
        return self.data if self.is_in_memory else None


def list_options(options: Options) -> dict[str, Any]:
    """Return the options that are not the defaults."""
    defaults = vars(Options())
    return {name: v for name, v in vars(options).items() if v != defaults[name]}


def find_prior_path(path: Path) -> Path:
    return path.with_name(f"{path.name}-prior")


def describe_values(parameters: dict[str, Any], options: Options) -> dict[str, str | bool]:
    """Return parameters and options as fit.json has them."""
    values = parameters | list_options(options)
    return {name: v if isinstance(v, bool) else str(v) for name, v in values.items()}


def read_content(path: Path, request: dict[str, str | bool]) -> FitContent | None:
    """Read the fit.json of a folder. None: it holds nothing.

    request: what is known of the request before the images are read, all but `rules.CHOICES`

    Raises: Error if the folder holds something else, or another fit
    """
    refuse_special_files(path)
    saved: Any = read_json(path / FIT_FILE, FitContent)
    if not saved:
        for each in (path, find_prior_path(path)):
            find_new_folder("", each)
        return None
    choices = {name: v for name, v in saved["request"].items() if name in rules.CHOICES}
    if choices | request != saved["request"]:
        before = ", ".join(f"{k} {v}" for k, v in saved["request"].items())
        raise Error(
            f"{path} holds another fit ({before}); repeat its command to continue it, or give"
            " another --run for more minutes or other images."
        )
    return saved


class Fit:
    """A fit in its folder.

    begin: time from which this process counts, after what it continued. n_old: number of stages
    that an earlier process began.
    """

    def __init__(self, request: FitRequest, train: TrainFunction, write: Callable[[str], None]):
        self.request, self.train, self.write = request, train, write
        self.path, self.begin = request.path, request.begin
        self.table = self.path / TABLE_FILE
        self.prior_path = find_prior_path(self.path)
        self.content = request.content
        self.n_old = len(self.content["stages"])

    def run(self) -> int:
        """Run what is left; return 0, or the exit code of a training that ended early."""
        if self.content["is_complete"]:
            self.write(str(self.path / "report.html"))
            return 0
        with ExitStack() as lock:
            plans = [self._plan_first] + [self._plan_prior] * self.request.has_prior
            for number, plan in enumerate(plans):
                is_new = number == len(self.content["stages"])
                stage = plan() if is_new else self.content["stages"][number]
                if number == 0:
                    self._hold_lock(lock)
                if is_new:
                    self.content["stages"].append(stage)
                    self._log_command(self._format_training(stage))
                if code := self._run_stage(stage):
                    return code
                if not is_new:
                    self.begin = time.perf_counter()
            self._finish()
        return 0

    def _hold_lock(self, lock: ExitStack) -> None:
        with catch_write_errors(self.path, "give another --run"):
            self.path.mkdir(parents=True, exist_ok=True)
        lock.enter_context(hold_lock(self.path / LOCK_FILE, subject=self.path))

    def _log_command(self, command: str) -> None:
        """Print a command, and store it with the stages before it runs."""
        self.write(command)
        if command not in self.content["commands"]:
            self.content["commands"].append(command)
        write_json(self.path / FIT_FILE, {**self.content})

    def count_seconds_left(self) -> float:
        """Return the seconds left; what an earlier process began took the time planned for it."""
        planned = sum(stage["seconds"] for stage in self.content["stages"][: self.n_old])
        return 60 * self.request.minutes - planned - (time.perf_counter() - self.begin)

    def _plan_first(self) -> Stage:
        chosen = rules.choose_first_parameters(self.request.facts) | self.request.parameters
        left, share, rest = self.count_seconds_left(), 1.0, 0.0
        if self.request.has_prior:
            share = 1 - rules.MAX_PRIOR_SHARE
            rest = rules.count_prior_seconds(self.request.facts.n_train)
        seconds = max(share * left, left - rest)
        try:
            stage = self._plan(rules.FIRST_RECIPE, self.path, chosen, seconds)
        except TooShortError as error:
            needed = min(error.seconds / share, error.seconds + rest)
            spent = 60 * self.request.minutes - left
            raise TooShortError("latentia fit", spent + needed) from None
        for_reports = rules.count_seconds_of_reports(stage["end"], self.request.has_prior)
        for_training = max(0.0, 1 - for_reports / seconds)
        epochs = stage["parameters"]["epochs"]
        stage["parameters"]["epochs"] = max(1, int(epochs * for_training))
        return stage

    def _plan_prior(self) -> Stage:
        """Plan the prior; it has an epoch even if there is no time left, for samples to show."""
        request = self.request
        chosen = rules.choose_prior_parameters(request.facts, request.parameters["features"])
        chosen["autoencoder"] = str(self.path)
        seconds = self.count_seconds_left() - rules.END_SHARE * self.content["stages"][0]["end"]
        stage = self._plan(rules.PRIOR_RECIPE, self.prior_path, chosen, max(0.0, seconds), 1)
        stage["parameters"]["epochs"] = min(stage["parameters"]["epochs"], rules.MAX_PRIOR_EPOCHS)
        return stage

    def _plan(
        self, recipe: str, path: Path, chosen: dict[str, Any], seconds: float, at_least: int = 0
    ) -> Stage:
        stage = Stage(recipe=recipe, run=str(path), parameters=chosen, seconds=seconds, end=0.0)
        arguments = *self._list_arguments(stage), self.request.options
        choice = choose_epochs(recipe, *arguments, seconds, at_least)
        return {**stage, "parameters": {**chosen, "epochs": choice.epochs}, "end": choice.end}

    def _add_data(self, stage: Stage, data: Any) -> dict[str, Any]:
        """Return the parameters with the images; a prior finds those of its autoencoder."""
        needs_data = stage["recipe"] == rules.FIRST_RECIPE or self.request.is_in_memory
        return {**({"data": data} if needs_data else {}), **stage["parameters"]}

    def _list_arguments(self, stage: Stage) -> tuple[dict[str, Any], Modifiers]:
        parameters = self._add_data(stage, self.request.data)
        recipe_parameters = inspect.signature(find_recipe(stage["recipe"])).parameters
        return parameters, take_modifiers(parameters, recipe_parameters)

    def _format_training(self, stage: Stage) -> str:
        options = {**list_options(self.request.options), "run": stage["run"]}
        if self.request.is_in_memory:
            options |= {"labels": LABELS} if isinstance(self.request.data, LabelledData) else {}
            return format_call("train", stage["recipe"], **self._add_data(stage, DATA), **options)
        parameters = self._add_data(stage, self.request.images.source.name)
        words = format_flags({**parameters, **options})
        return format_command("latentia", "train", stage["recipe"], *words)

    def _run_stage(self, stage: Stage) -> int:
        """Train a stage, or resume it; a complete one with its report is left as it is."""
        path, request = Path(stage["run"]), self.request
        if not (path / "run.json").exists():
            parameters, modifiers = self._list_arguments(stage)
            keywords: Any = {"modifiers": modifiers, "options": request.options, "run": path}
            run, events = start_run(stage["recipe"], parameters, **keywords)
        elif load(path).is_complete and all((path / name).exists() for name in REPORT_FILES):
            return 0
        else:
            run, events = resume_run(path, request.memory_data)
        if path == self.path and not self.table.exists():
            events = self._begin_with_coordinates(events)
        return self.train(run, events, self.request.printed_lines)

    def _begin_with_coordinates(self, events: Iterator[Event]) -> Iterator[Event]:
        """Write table and map of the saved closed form before the first step, then pass events on.

        The time counts: the prior is planned afterwards.
        """
        from latentia.report.page import write_first_report  # takes long to import

        first = next(events)
        with enable_progress(False):  # the display of the training is open
            run = self._write_table()
            page = write_first_report(run.folder, run.images)
        self.write(f"The coordinates of all images are in {self.table}, and their map in {page}.")
        yield first
        yield from events

    def _write_table(self) -> Run:
        run = load(self.path, self.request.memory_data)
        split, names = open_labelled_split(run.folder, run.images, None, SOURCE_LABELS)
        write_table(self.table, run.autoencoder, split, names)
        return run

    def _finish(self) -> None:
        """Write the table of all images, then the report, which shows the prior's samples."""
        path, table = str(self.path), str(self.table)
        self._log_command(format_command("latentia", "encode", path, "--out", table))
        run = self._write_table()
        self._log_command(format_command("latentia", "report", path))
        self.write(str(run.report()))
        self.content["is_complete"] = True
        write_json(self.path / FIT_FILE, {**self.content})
