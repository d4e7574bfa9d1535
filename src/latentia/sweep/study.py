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

from latentia.api.training import go_on, start
from latentia.core.contract import HasLatents
from latentia.core.errors import Error
from latentia.metrics.elbo import elbo
from latentia.runs.folder import RunFolder, resolve_unnamed_path
from latentia.runs.recipes import resolve_parameters
from latentia.sweep.design import SWEEP, axis, design
from latentia.training.checkpoint import write_json
from latentia.training.device import use_threads
from latentia.training.plan import Options

JOURNAL = "sweep.log"


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
        over: Sequence[str],
        trials: int,
        parse: Callable[[dict[str, str]], Setting],
        words: Sequence[str] = (),
        path: str | Path | None = None,
        storage: str | None = None,
    ):
        if not over:
            raise Error("A sweep needs something to vary: --over beta=log:0.05:20.")
        if trials < 1:
            raise Error(f"--trials is {trials}; it must be at least 1.")
        axes = [axis(each) for each in over]
        names = [each.name for each in axes]
        if len(set(names)) < len(names):
            raise Error(f"--over names {', '.join(names)}; give each knob once.")
        self.recipe, self.parse, self.words = recipe, parse, list(words)
        self.settings = design(axes, trials)
        whole = {
            k.replace("_", "-") for k, v in resolve_parameters(recipe, {}).items() if type(v) is int
        }
        for settings in self.settings:  # what would fail does so before anything is trained
            settings |= {k: f"{float(settings[k]):.0f}" for k in whole & settings.keys()}
            resolve_parameters(recipe, parse(settings).parameters)
        self.path = resolve_unnamed_path(path or f"runs/sweep-{recipe.rsplit(':', 1)[-1]}")
        self.storage = storage
        about = {"recipe": recipe, "words": self.words, "over": list(over), "trials": trials}
        imported()  # before anything is written
        self._claim(about)

    def _claim(self, about: dict[str, Any]) -> None:
        """A new folder, or the one of this sweep."""
        file = self.path / SWEEP
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with self.locked("sweep"):
                if not file.exists():
                    if any(each.suffix != ".lock" for each in self.path.iterdir()):
                        raise Error(f"{self.path} exists and is no sweep; give another --out.")
                    write_json(file, about)
                then = json.loads(file.read_text())
        except Error:
            raise
        except (OSError, ValueError) as problem:
            raise Error(f"{self.path} cannot be used ({problem}); give another --out.") from None
        if then != about:
            raise Error(
                f"{self.path} holds another sweep ({_said(then).strip()}); give that again to go "
                "on with it, or another --out."
            )

    def study(self) -> Any:
        optuna = imported()
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        level = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # not that a study is made or found
        try:
            storage = self.storage or JournalStorage(JournalFileBackend(str(self.path / JOURNAL)))
            with self.locked("sweep"):
                study = optuna.create_study(
                    storage=storage,
                    study_name=self.path.name,
                    load_if_exists=True,
                    directions=["minimize", "minimize"],
                )
                known = [t.user_attrs.get("settings") for t in study.get_trials(deepcopy=False)]
                for settings in self.settings[len(known) :]:
                    study.enqueue_trial({}, user_attrs={"settings": settings})
        except Error:
            raise
        except Exception as problem:
            raise Error(
                f"The storage {self.storage or self.path / JOURNAL} cannot be used ({problem}); "
                "give a database that Optuna knows, such as sqlite:///sweep.db, or leave it out."
            ) from None
        finally:
            optuna.logging.set_verbosity(level)
        if [each for each in known if each] != self.settings[: len(known)]:
            raise Error(
                f"{self.storage or self.path} holds a sweep called {self.path.name} over other "
                "settings; give another --out or --storage."
            )
        return study

    @contextmanager
    def locked(self, name: str, wait: bool = True) -> Iterator[bool]:
        """Whether this process holds the lock; the system releases it however the process ends."""
        with (self.path / f"{name}.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
                return
            yield True

    def run(self, show: Callable[[RunFolder, Iterator], int]) -> int:
        """Take trials until none is left; `show` trains one and returns its exit code."""
        from optuna.trial import TrialState as State

        study, passed = self.study(), set()
        while True:
            number = self._left_behind(study, passed)
            if number is None:
                trial = study.ask()
                number = trial.number
                if number >= len(self.settings):  # none was waiting: the sampler made one up
                    study.tell(trial, state=State.FAIL)
                    return 0
            with self.locked(f"{number:03}", wait=False) as mine:
                state = study.get_trials(deepcopy=False)[number].state
                if not mine or state.is_finished():
                    passed.add(number)
                    continue
                code = self._train(study, number, show)
                if code not in (0, 1):  # stopped: it stays begun
                    return code

    def _left_behind(self, study: Any, passed: set[int]) -> int | None:
        """A trial that was begun here, and that nobody trains."""
        from optuna.trial import TrialState as State

        for trial in study.get_trials(deepcopy=False, states=(State.RUNNING,)):
            here = self.storage is None or (self.path / f"{trial.number:03}.lock").exists()
            if here and trial.number not in passed and trial.number < len(self.settings):
                with self.locked(f"{trial.number:03}", wait=False) as free:
                    if free:
                        return trial.number
        return None

    def _train(self, study: Any, number: int, show: Callable[[RunFolder, Iterator], int]) -> int:
        from optuna.trial import TrialState as State

        path = self.path / f"{number:03}"
        if (path / "run.json").exists():
            run, events = go_on(path)
        else:
            parameters, options, edits = self.parse(self.settings[number])
            try:
                run, events = start(self.recipe, parameters, edits=edits, options=options, run=path)
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
        code = show(run, events)
        if code == 1:  # not finite: that, too, is an answer
            study.tell(number, state=State.FAIL)
        elif code == 0:
            with use_threads(run.options.threads):
                study.tell(number, list(reached(run)))
        return code

    def trials(self) -> list[Trial]:
        """The complete ones, in order."""
        from optuna.trial import TrialState as State

        found = []
        for trial in self.study().get_trials(deepcopy=False, states=(State.COMPLETE,)):
            found.append(Trial(trial.number, self.settings[trial.number], *trial.values))
        return found


def reached(run: RunFolder) -> tuple[float, float]:
    """Distortion and rate of the validation images, or without any of the training images."""
    images = run.images()
    part = images.split("validation")
    found = elbo(run.autoencoder(), part if len(part) else images.split("train"))
    return found["distortion_nats"], found["rate_nats"]


def imported() -> Any:
    try:
        import optuna
    except ModuleNotFoundError:
        raise Error(
            'latentia sweep needs the sweep extra: pip install "latentia[sweep]".'
        ) from None
    return optuna


def _said(about: dict[str, Any]) -> str:
    over = [word for each in about.get("over", []) for word in ("--over", each)]
    words = [*over, "--trials", about.get("trials"), *about.get("words", [])]
    return shlex.join(map(str, ["latentia", "sweep", about.get("recipe"), *words]))
