"""Many runs of a recipe over a space of settings, shared by workers, gone on with after a kill."""

import fcntl
import json
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from latentia.api.training import resume_run, start_run
from latentia.core.contract import HasLatents
from latentia.core.errors import Error
from latentia.metrics.elbo import elbo
from latentia.runs.folder import RunFolder, resolve_unnamed_path
from latentia.runs.recipes import resolve_parameters
from latentia.sweep.design import SWEEP_FILE, design_trials, parse_axis
from latentia.training.checkpoint import write_json
from latentia.training.device import use_threads
from latentia.training.plan import Options

JOURNAL_FILE = "sweep.log"


class Setting(NamedTuple):
    """What one run is trained with: parameters of the recipe, options, and modifiers by name."""

    parameters: dict[str, Any]
    options: Options
    modifiers: dict[str, dict[str, Any]]


class Trial(NamedTuple):
    """What one run reached on the validation split, nats per image."""

    number: int
    settings: dict[str, str]
    distortion: float
    rate: float


class Sweep:
    """A folder with sweep.json, the trials' runs and, unless a storage is given, Optuna's journal.

    Workers take trials from the storage. A trial's run folder is locked by the worker that trains
    it; what is begun and not locked was left by a worker that died, and is gone on with.

    parse: from a setting, the varied options and their values as words, to what is trained with
    it; words: those that hold for every run, which identify the sweep.
    """

    def __init__(
        self,
        recipe: str,
        axis_specs: Sequence[str],
        trials: int,
        parse: Callable[[dict[str, str]], Setting],
        train_arguments: Sequence[str] = (),
        path: str | Path | None = None,
        storage: str | None = None,
    ):
        if not axis_specs:
            raise Error("A sweep needs something to vary: --over beta=log:0.05:20.")
        if trials < 1:
            raise Error(f"--trials is {trials}; it must be at least 1.")
        axes = [parse_axis(each) for each in axis_specs]
        names = [each.name for each in axes]
        if len(set(names)) < len(names):
            raise Error(f"--over names {', '.join(names)}; give each knob once.")
        self.recipe, self.parse, self.train_arguments = recipe, parse, list(train_arguments)
        self.settings = design_trials(axes, trials)
        integer_names = {
            k.replace("_", "-") for k, v in resolve_parameters(recipe, {}).items() if type(v) is int
        }
        for settings in self.settings:  # what would fail does so before anything is trained
            settings |= {k: f"{float(settings[k]):.0f}" for k in integer_names & settings.keys()}
            resolve_parameters(recipe, parse(settings).parameters)
        self.path = resolve_unnamed_path(path or f"runs/sweep-{recipe.rsplit(':', 1)[-1]}")
        self.storage = storage
        metadata = {
            "recipe": recipe,
            "words": self.train_arguments,
            "over": list(axis_specs),
            "trials": trials,
        }
        import_optuna()  # before anything is written
        self._claim_folder(metadata)

    def _claim_folder(self, metadata: dict[str, Any]) -> None:
        """A new folder, or the one of this sweep."""
        file = self.path / SWEEP_FILE
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with self.acquire_lock("sweep"):
                if not file.exists():
                    if any(each.suffix != ".lock" for each in self.path.iterdir()):
                        raise Error(f"{self.path} exists and is no sweep; give another --out.")
                    write_json(file, metadata)
                saved_metadata = json.loads(file.read_text())
        except Error:
            raise
        except (OSError, ValueError) as problem:
            raise Error(f"{self.path} cannot be used ({problem}); give another --out.") from None
        if saved_metadata != metadata:
            raise Error(
                f"{self.path} holds another sweep ({_format_sweep(saved_metadata).strip()}); give that again to go "
                "on with it, or another --out."
            )

    def open_study(self) -> Any:
        optuna = import_optuna()
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        level = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # not that a study is made or found
        try:
            storage = self.storage or JournalStorage(
                JournalFileBackend(str(self.path / JOURNAL_FILE))
            )
            with self.acquire_lock("sweep"):
                study = optuna.create_study(
                    storage=storage,
                    study_name=self.path.name,
                    load_if_exists=True,
                    directions=["minimize", "minimize"],
                )
                known_settings = [
                    t.user_attrs.get("settings") for t in study.get_trials(deepcopy=False)
                ]
                for settings in self.settings[len(known_settings) :]:
                    study.enqueue_trial({}, user_attrs={"settings": settings})
        except Error:
            raise
        except Exception as problem:
            raise Error(
                f"The storage {self.storage or self.path / JOURNAL_FILE} cannot be used ({problem}); "
                "give a database that Optuna knows, such as sqlite:///sweep.db, or leave it out."
            ) from None
        finally:
            optuna.logging.set_verbosity(level)
        if [each for each in known_settings if each] != self.settings[: len(known_settings)]:
            raise Error(
                f"{self.storage or self.path} holds a sweep called {self.path.name} over other "
                "settings; give another --out or --storage."
            )
        return study

    @contextmanager
    def acquire_lock(self, name: str, blocking: bool = True) -> Iterator[bool]:
        """Whether this process holds the lock; the system releases it however the process ends."""
        with (self.path / f"{name}.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if blocking else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
                return
            yield True

    def run_trials(self, train_and_print: Callable[[RunFolder, Iterator], int]) -> int:
        """Take trials until none is left; `show` trains one and returns its exit code."""
        from optuna.trial import TrialState as State

        study, skipped = self.open_study(), set()
        while True:
            number = self._find_abandoned_trial(study, skipped)
            if number is None:
                trial = study.ask()
                number = trial.number
                if number >= len(self.settings):  # none was waiting: the sampler made one up
                    study.tell(trial, state=State.FAIL)
                    return 0
            with self.acquire_lock(f"{number:03}", blocking=False) as has_lock:
                state = study.get_trials(deepcopy=False)[number].state
                if not has_lock or state.is_finished():
                    skipped.add(number)
                    continue
                exit_code = self._train_trial(study, number, train_and_print)
                if exit_code not in (0, 1):  # stopped: it stays begun
                    return exit_code

    def _find_abandoned_trial(self, study: Any, skipped: set[int]) -> int | None:
        """A trial that was begun here, and that nobody trains."""
        from optuna.trial import TrialState as State

        for trial in study.get_trials(deepcopy=False, states=(State.RUNNING,)):
            is_local = self.storage is None or (self.path / f"{trial.number:03}.lock").exists()
            if is_local and trial.number not in skipped and trial.number < len(self.settings):
                with self.acquire_lock(f"{trial.number:03}", blocking=False) as has_lock:
                    if has_lock:
                        return trial.number
        return None

    def _train_trial(
        self, study: Any, number: int, train_and_print: Callable[[RunFolder, Iterator], int]
    ) -> int:
        from optuna.trial import TrialState as State

        path = self.path / f"{number:03}"
        if (path / "run.json").exists():
            run, events = resume_run(path)
        else:
            parameters, options, modifiers = self.parse(self.settings[number])
            try:
                run, events = start_run(
                    self.recipe, parameters, modifiers=modifiers, options=options, run=path
                )
            except Error as problem:  # of these settings: the others may do
                print(f"{path}: {problem}", file=sys.stderr)
                study.tell(number, state=State.FAIL)
                return 1
            if not isinstance(run.plan(run.images()).model, HasLatents):
                shutil.rmtree(path)
                raise Error(
                    f"latentia sweep compares distortion and rate, and {self.recipe} has no "
                    "encoder; give the recipe of a VAE."
                )
        exit_code = train_and_print(run, events)
        if exit_code == 1:  # not finite: that, too, is an answer
            study.tell(number, state=State.FAIL)
        elif exit_code == 0:
            with use_threads(run.options.threads):
                study.tell(number, list(measure_trade_off(run)))
        return exit_code

    def list_trials(self) -> list[Trial]:
        """The complete ones, in order."""
        from optuna.trial import TrialState as State

        complete_trials = []
        for trial in self.open_study().get_trials(deepcopy=False, states=(State.COMPLETE,)):
            complete_trials.append(Trial(trial.number, self.settings[trial.number], *trial.values))
        return complete_trials


def measure_trade_off(run: RunFolder) -> tuple[float, float]:
    """Distortion and rate of the validation images, or without any of the training images."""
    images = run.images()
    validation_split = images.split("validation")
    result = elbo(
        run.autoencoder(), validation_split if len(validation_split) else images.split("train")
    )
    return result["distortion_nats"], result["rate_nats"]


def import_optuna() -> Any:
    try:
        import optuna
    except ModuleNotFoundError:
        raise Error(
            'latentia sweep needs the sweep extra: pip install "latentia[sweep]".'
        ) from None
    return optuna


def _format_sweep(metadata: dict[str, Any]) -> str:
    axis_flags = [word for spec in metadata.get("over", []) for word in ("--over", spec)]
    command_words = [*axis_flags, "--trials", metadata.get("trials"), *metadata.get("words", [])]
    return shlex.join(map(str, ["latentia", "sweep", metadata.get("recipe"), *command_words]))
