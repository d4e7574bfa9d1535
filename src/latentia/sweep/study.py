"""A sweep: runs of a recipe at many settings, shared by workers and resumed after a kill."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, TypedDict

from filelock import FileLock

from latentia.api.training import resume_run, start_run
from latentia.core.contract import HasLatents
from latentia.core.errors import Error, WriteError, catch_write_errors
from latentia.core.folders import refuse_special_files
from latentia.core.locks import LockedError, hold_lock
from latentia.core.text import join_command
from latentia.metrics.elbo import elbo
from latentia.runs.create import create_run
from latentia.runs.folder import RunFolder, resolve_unnamed_path
from latentia.runs.recipes import register_recipe, resolve_parameters
from latentia.sweep.design import SWEEP_FILE, design_trials, parse_axis
from latentia.training.checkpoint import read_json, write_json
from latentia.training.device import use_threads
from latentia.training.plan import Options

JOURNAL_FILE = "sweep.log"
TrainFunction = Callable[[RunFolder, Iterator], int]  # (run, its events) -> exit code


class Setting(NamedTuple):
    """Training arguments of one run: parameters of the recipe, options, modifiers by name."""

    parameters: dict[str, Any]
    options: Options
    modifiers: dict[str, dict[str, Any]]


class SweepSettings(TypedDict):
    """Content of sweep.json."""

    recipe: str
    words: list[str]
    over: list[str]
    trials: int


class Trial(NamedTuple):
    """Result of one run on the validation split, in nats per image."""

    number: int
    settings: dict[str, str]
    distortion: float
    rate: float


class Sweep:
    """A folder with sweep.json, a run of each trial and, unless a storage is given, a journal.

    Workers take trials from the Optuna storage or journal. A worker locks the trial that it trains.
    A trial that is running but not locked belongs to a worker that died, and is resumed.

    parse: from the varied options, name -> value on the command line, to training arguments.
    train_arguments: arguments of every run. They identify the sweep.
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
            raise Error(f"--over names {', '.join(names)}; give each parameter once.")
        self.recipe, self.parse, self.storage = register_recipe(recipe), parse, storage
        self.settings = design_trials(axes, trials)
        integer_names = {
            k.replace("_", "-") for k, v in resolve_parameters(recipe, {}).items() if type(v) is int
        }
        for settings in self.settings:  # errors appear before any training
            settings |= {k: f"{float(settings[k]):.0f}" for k in integer_names & settings.keys()}
            resolve_parameters(recipe, parse(settings).parameters)
        self.path = resolve_unnamed_path(path or f"runs/sweep-{recipe.rsplit(':', 1)[-1]}")
        import_optuna()  # before anything is written
        words, over = list(train_arguments), list(axis_specs)
        self.metadata = SweepSettings(recipe=recipe, words=words, over=over, trials=trials)

    def _check_settings(self) -> None:
        """Create the run of the first possible settings in a temporary folder.

        Raises: Error if no settings are possible, or the recipe has no encoder
        """
        problems = []
        for values in self.settings:
            parameters, options, modifiers = self.parse(values)
            with (
                catch_write_errors(self.path, "give another --out"),
                TemporaryDirectory() as folder,
            ):
                try:
                    path = Path(folder) / "run"
                    plan = create_run(self.recipe, parameters, modifiers, options, path)[1]
                except WriteError as problem:
                    raise WriteError(problem.message, subject=self.path) from None
                except Error as problem:
                    problems.append(problem)
                    continue
            if not isinstance(plan.model, HasLatents):
                raise Error(f"{self.recipe} has no encoder; give the recipe of a VAE.")
            return
        raise problems[0]

    def _check_folder(self) -> bool:
        """Return whether the folder holds this sweep. Raises: Error if it holds anything else."""
        refuse_special_files(self.path)
        names = [each.name for each in self.path.iterdir()] if self.path.exists() else []
        names = [name for name in names if ".lock" not in Path(name).suffixes]
        if SWEEP_FILE not in names and any(not name.startswith(".") for name in names):
            raise Error(f"{self.path} exists and is not a sweep; give another --out.")
        saved = read_json(self.path / SWEEP_FILE, SweepSettings)
        if saved and saved != self.metadata:
            command = _format_sweep(saved)
            raise Error(f"{self.path} holds another sweep ({command}); give another --out.")
        return bool(saved)

    def _claim_folder(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        with hold_lock(self.lock_path("sweep"), wait=True):
            if not self._check_folder():
                write_json(self.path / SWEEP_FILE, {**self.metadata})

    def _remove_files(self, with_folder: bool) -> None:
        """Remove the files of a new sweep, and the folder if it was made for it and is empty."""
        with suppress(OSError):  # another process may use it
            for file in (self.path / SWEEP_FILE, self.lock_path("sweep")):
                file.unlink(missing_ok=True)
            if with_folder:
                self.path.rmdir()

    def open_study(self) -> Any:
        optuna = import_optuna()
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        level = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # it reports every created study
        location = self.storage or str(self.path / JOURNAL_FILE)
        try:
            # Optuna's own lock of a journal is a symbolic link, which Windows allows few users
            lock: Any = FileLock(self.lock_path("journal"))
            storage = self.storage or JournalStorage(JournalFileBackend(location, lock))
            with hold_lock(self.lock_path("sweep"), wait=True):
                study = optuna.create_study(
                    storage=storage,
                    study_name=self.path.name,
                    load_if_exists=True,
                    directions=["minimize", "minimize"],
                )
                trials = study.get_trials(deepcopy=False)
                queued = [trial.user_attrs.get("settings") for trial in trials]
                for settings in self.settings[len(queued) :]:
                    study.enqueue_trial({}, user_attrs={"settings": settings})
        except Exception as problem:
            raise Error(
                f"The storage {location} cannot be used ({problem})"
                "; give a database that Optuna knows, such as sqlite:///sweep.db, or leave it out."
            ) from None
        finally:
            optuna.logging.set_verbosity(level)
        if [each for each in queued if each] != self.settings[: len(queued)]:
            place = self.storage or self.path
            raise Error(f"{place} holds another sweep named {self.path.name}; give another --out.")
        return study

    def lock_path(self, name: str) -> Path:
        return self.path / f"{name}.lock"

    def run_trials(self, train: TrainFunction) -> int:
        """Run trials until none is left; `train` trains one run and returns its exit code."""
        with catch_write_errors(self.path, "give another --out"):
            is_new, has_folder = not self._check_folder(), self.path.exists()
        if is_new:
            self._check_settings()
        with catch_write_errors(self.path, "give another --out"):  # optuna's too
            self._claim_folder()
            try:
                study = self.open_study()
            except Error:
                if is_new and self.storage:  # a journal is in the folder, which can be resumed
                    self._remove_files(with_folder=not has_folder)
                raise
            for number in self._lock_trials(study):
                exit_code = self._train_trial(study, number, train)
                if exit_code not in (0, 1):  # a stopped trial stays in the state RUNNING
                    return exit_code
        return 0

    def _lock_trials(self, study: Any) -> Iterator[int]:
        """Yield unfinished trials under their locks: those of dead workers, then the queue's.

        Optuna's heartbeat would need a database and a minute or more to find a dead worker, and
        would put its settings into a new trial, whose run folder has no checkpoint.
        """
        from optuna.trial import TrialState as State

        while True:
            for trial in study.get_trials(deepcopy=False, states=(State.RUNNING,)):
                number, name = trial.number, f"{trial.number:03}"
                is_local = self.storage is None or self.lock_path(name).exists()
                if is_local and number < len(self.settings):
                    with suppress(LockedError), hold_lock(self.lock_path(name)):
                        if not study.get_trials(deepcopy=False)[number].state.is_finished():
                            yield number
            trial = study.ask()  # now it runs, so that the search above finds it
            if trial.number >= len(self.settings):  # none was queued: the sampler invented one
                study.tell(trial, state=State.FAIL)
                return
            self.lock_path(f"{trial.number:03}").touch()

    def _train_trial(self, study: Any, number: int, train: TrainFunction) -> int:
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
            except (LockedError, WriteError):
                raise
            except Error as problem:  # only these settings may be impossible
                print(f"{path}: {problem}", file=sys.stderr)
                study.tell(number, state=State.FAIL)
                return 1
        exit_code = train(run, events)
        if exit_code == 1:  # a diverged run is a failed trial
            study.tell(number, state=State.FAIL)
        elif exit_code == 0:
            with use_threads(run.options.threads):
                study.tell(number, list(measure_trade_off(run)))
        return exit_code

    def list_trials(self) -> list[Trial]:
        """Return the complete trials in the order of their numbers."""
        from optuna.trial import TrialState as State

        trials = self.open_study().get_trials(deepcopy=False, states=(State.COMPLETE,))
        return [Trial(t.number, self.settings[t.number], *t.values) for t in trials]


def measure_trade_off(run: RunFolder) -> tuple[float, float]:
    """Distortion and rate of the validation images, or of the training images if there are none."""
    images = run.images()
    validation = images.split("validation")
    result = elbo(run.autoencoder(), validation if len(validation) else images.split("train"))
    return result["distortion_nats"], result["rate_nats"]


def import_optuna() -> Any:
    try:
        import optuna
    except ModuleNotFoundError:
        raise Error('latentia sweep needs pip install "latentia[sweep]".') from None
    return optuna


def _format_sweep(metadata: dict[str, Any]) -> str:
    axes = [word for spec in metadata["over"] for word in ("--over", spec)]
    rest = [*axes, "--trials", metadata["trials"], *metadata["words"]]
    return join_command(["latentia", "sweep", metadata["recipe"], *rest])
