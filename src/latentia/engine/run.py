"""The run folder: self-contained, readable without its data, and never executed."""

import json
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from latentia.core.contract import HasLatents, HasTrajectory, Model
from latentia.core.errors import Error
from latentia.data import Images, Split
from latentia.data.labels import UNLABELLED, Labels
from latentia.engine import recipe as recipes
from latentia.engine.checkpoint import read_tensors, write_json
from latentia.engine.edits.multirate import limits
from latentia.engine.found import images_of, keyed
from latentia.engine.knobs import check
from latentia.engine.machine import machine
from latentia.engine.plan import Options, Plan
from latentia.engine.planned import PARENT, as_found, in_full, planned
from latentia.engine.state import load_weights


@dataclass(frozen=True)
class Run:
    """A folder and what its run.json says; beta: what a model of many betas is to answer for."""

    path: Path
    about: dict[str, Any]
    beta: float | None = None

    @property
    def state(self) -> Path:
        return self.path / "state.safetensors"

    @property
    def weights(self) -> Path:
        return self.path / "weights.safetensors"

    @property
    def name(self) -> str:
        return self.path.name + ("" if self.beta is None else f" at beta {self.beta:g}")

    def at(self, beta: float | None) -> "Run":
        """The same run, its model at another beta than the recipe's; None: at that.

        Raises: Error if it has not learned this beta.
        """
        if beta is None:
            return self
        if self.learned is None:
            raise Error(
                f"--beta is {beta:g}, but {self.path} has learned one beta alone; leave it out, or "
                "train with --multirate 0.01:10."
            )
        low, high = self.learned
        if not low <= beta <= high:
            raise Error(f"--beta is {beta:g}; {self.path} has learned {low:g} to {high:g}.")
        return replace(self, beta=beta)

    @property
    def learned(self) -> tuple[float, float] | None:
        """The range of betas that its model answers for; None: one alone."""
        edit = self.about["edits"].get("multirate")
        return limits(edit["multirate"]) if edit else None

    @classmethod
    def create(
        cls,
        recipe: str,
        given: dict[str, Any],
        edits: Mapping[str, Mapping[str, Any]],
        options: Options,
        path: Path | str | None = None,
    ) -> "tuple[Run, Plan]":
        """A new folder with its run.json, and the plan to train there.

        Raises: Error if the folder exists or can't be written, or a knob is out of its range.
        """
        check("latentia.train", Options, vars(options))
        arguments = recipes.arguments(recipe, given)
        options = as_found(options)
        parent = cls.parent(recipe, arguments, options)
        if parent:
            parent.rules(options)
        plan = planned(recipe, arguments, edits, options, parent)
        spec = plan.images.spec()  # before the folder exists: bad data leaves nothing behind
        about = {
            "recipe": recipe if ".py" not in recipe else str(Path(recipe).resolve()),
            "arguments": {**arguments, "data": spec["source"]},
            "edits": {name: in_full(knobs) for name, knobs in edits.items()},
            "options": asdict(options),
            "images": spec,
            "notes": plan.images.notes,
            "parameters": {
                name: sum(p.numel() for p in player.module.parameters())
                for name, player in plan.model.players().items()
            },
            "machine": machine(),
            "source": recipes.source(recipe),
        }
        run = cls(_new_folder(recipe, path, about), about)
        if parent:
            parent.copy(run.path / PARENT)
        return run, plan

    @classmethod
    def parent(cls, recipe: str, arguments: dict[str, Any], options: Options) -> "Run | None":
        """The run that a recipe's knob `autoencoder` names; its path is made a full one.

        Of diffusers:FOLDER, also the images are opened, since that has none of its own.

        Raises: Error if the recipe has that knob and no run was given.
        """
        if PARENT not in arguments:
            return None
        given = getattr(arguments[PARENT], "run", arguments[PARENT])  # a model knows its run
        if not isinstance(given, Run | str | Path | None):
            raise Error(
                f"The autoencoder is a {type(given).__name__} of no run; give a run's folder, or a "
                "model that latentia.train or latentia.load returned."
            )
        if given is None:
            raise Error(
                f"{recipe} learns the latents of a run: give its folder with --autoencoder, for "
                "instance one of `latentia train digits_vae`."
            )
        size = arguments.get("size")
        if str(given).startswith(f"{recipes.DIFFUSERS}:"):
            from latentia.engine.pretrained import adopt

            folder = Path(str(given).partition(":")[2]).expanduser().resolve()
            arguments[PARENT] = f"{recipes.DIFFUSERS}:{folder}"
            run, arguments["data"] = adopt(folder, arguments["data"], size, options)
            return run
        run = given if isinstance(given, Run) else cls.open(given)
        if run.beta is not None:
            raise Error(
                f"The autoencoder is {run.name}; a prior is built on a run as it answers by "
                "itself: give its folder."
            )
        if PARENT in run.about["arguments"]:  # a prior's latents are its autoencoder's
            run = cls.open(run.path / PARENT)
        if size is not None:
            raise Error(
                f"--size has no say here: the images are read as those of {run.path} were; leave it"
                " out."
            )
        arguments[PARENT] = str(run.path.resolve())
        return run

    def rules(self, options: Options) -> None:
        """Of a run built on this one. Raises: Error if it would read or split its images anew."""
        for name in ("validation", "white", "background", "stream"):
            allowed = [getattr(each, name) for each in (Options(), self.options)]
            if getattr(options, name) not in allowed:
                raise Error(
                    f"--{name} has no say here: the images are read and split as those of "
                    f"{self.path} were; leave it out."
                )

    def copy(self, path: Path) -> None:
        """What the model needs, without its training's state, pictures and times."""
        path.mkdir()
        for name in ("run.json", "weights.safetensors"):
            shutil.copyfile(self.path / name, path / name)

    @classmethod
    def open(cls, path: Path | str) -> "Run":
        """A run by its folder, or by hub:OWNER/NAME. Raises: Error if there is none."""
        if str(path).startswith("hub:"):
            from latentia.engine.hub import fetched

            path = fetched(str(path))
        path = named(path)
        if not path.exists():
            raise Error(f"There is no run at {path}; give a folder that `latentia train` has made.")
        try:
            about = json.loads((path / "run.json").read_text())
            if missing := {"recipe", "arguments", "edits", "options", "images"} - about.keys():
                raise KeyError(*missing)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise Error(
                f"{path} is not a run: it has no readable run.json; give a folder that "
                "`latentia train` has made."
            ) from None
        return cls(path, about)

    def note(self, facts: Mapping[str, Any]) -> None:
        """Add to run.json what was measured when training began."""
        if facts:
            self.about.update(facts)
            write_json(self.path / "run.json", self.about)

    @property
    def options(self) -> Options:
        try:
            return Options(**self.about["options"])
        except TypeError as problem:
            raise Error(
                f"{self.path} was made by another version ({problem}); use the version of latentia "
                "named in its run.json, or train again."
            ) from None

    def plan(self, data: Any = None) -> Plan:
        """The plan as it was trained, on the run's images or on `data` in their place.

        Raises: Error if the table of labels it was taught with has changed since.
        """
        arguments = dict(self.about["arguments"])
        arguments["data"] = self.images() if data is None else data
        parent = Run.open(self.path / PARENT) if PARENT in arguments else None
        recipe, edits = self._recipe(arguments), self.about["edits"]
        plan = planned(recipe, arguments, edits, self.options, parent)
        was = self.about["images"].get("joined")
        if was and plan.images.spec().get("joined", was) != was:
            raise Error(
                f"The labels of {self.path} are no longer those that it was taught with; bring the "
                "table back, or train a new run."
            )
        return plan

    def tensors(self) -> dict[str, Tensor]:
        return read_tensors(self.weights)[0]

    def model(self, tensors: dict[str, Tensor] | None = None) -> Model:
        """The trained model in evaluation mode, with `run` and `preprocess` at hand.

        Needs the folder only: neither its data nor the machine it was trained on; with `tensors`
        in its weights' place, not even that.
        """
        described = Images.described(self.about["images"])
        model = self.plan(described).model
        load_weights(model, tensors or self.tensors(), self.weights)
        if self.beta is not None:
            model.dial.beta = self.beta  # pyright: ignore
        model.run, model.preprocess = self, described.preprocess  # pyright: ignore
        return model.eval().requires_grad_(False)

    def images(self, data: Any = None, *, same: bool = False) -> Images:
        """The run's images, or others under the run's preprocessing; same: they must be the run's.
        Images that were made so already are handed back.

        Raises: Error if they are not there, or no longer those that the run was trained on.
        """
        return images_of(self.path, self.about["images"], data, same)

    def coder(self) -> Any:
        """The model, if it has latents; of a learned prior, the autoencoder.

        Raises: Error if it has none.
        """
        model = self.model()
        model = model.autoencoder if isinstance(model, HasTrajectory) else model
        if not isinstance(model, HasLatents):
            raise Error(
                f"{self.path} has no encoder: {self.about['recipe']} only draws images; "
                "give a run of a VAE."
            )
        return model

    def owns(self, images: Images) -> bool:
        """Whether they are those that the run was trained on, and split as then."""
        return images.spec()["fingerprint"] == self.about["images"]["fingerprint"]

    def part(
        self,
        split: str | None,
        data: Any = None,
        *,
        own: str = "test",
        labels: Labels = UNLABELLED,
    ) -> Split:
        """A split by name, its columns as `labels` says; None: `own` of the run's own images, of
        others all.

        Raises: Error if it holds no image, or the labels do not fit.
        """
        images = self.images(data)
        part = images.split(split or (own if self.owns(images) else "all"))
        if not len(part):
            raise Error(f"The {part.name} split holds no image; name another with --split.")
        return labels.onto(part, images.split("all").keys)

    def membership(self, part: Split, data: Any = None) -> list[str]:
        """train, validation or test of the run, an image each; `new` if the run never saw them."""
        images = self.images(data)
        return images.membership(part) if self.owns(images) else ["new"] * len(part)

    def image(self, name: str, split: str | None = None, data: Any = None) -> Tensor:
        """One image (1, c, h, w), by file, key or number, as `keyed` says."""
        return keyed(self, name, split, data)[1]

    def differences(self) -> list[str]:
        """What is no longer as it was when the run began, and bits may depend on."""
        now, then = machine(), {"processes": 1, **self.about["machine"]}
        told = [f"{k}: {then.get(k)} then, {v} now" for k, v in now.items() if then.get(k) != v]
        knobs = recipes.arguments(self.about["recipe"], {})
        added = [k for k in knobs if k not in self.about["arguments"]]
        return told + [f"--{k.replace('_', '-')}: unknown then, {knobs[k]} now" for k in added]

    def _recipe(self, arguments: dict[str, Any]) -> str:
        name = self.about["recipe"]
        try:
            recipes.arguments(name, {k: v for k, v in arguments.items() if k != "data"})
        except Error as problem:
            raise Error(
                f"{self.path} no longer fits its recipe {name}: {problem} Use the version of "
                "latentia named in its run.json, or train again."
            ) from None
        return name


def named(path: Path | str) -> Path:
    """The path as it is given, so that commands stay short; in full where it ends in no name."""
    path = Path(path)
    return path if path.name not in ("", "..") else path.resolve()


def _new_folder(recipe: str, path: Path | str | None, about: dict[str, Any]) -> Path:
    """A folder that holds run.json and nothing else."""
    if path is None:
        stem = Path("runs") / (recipe.split(":")[-1])
        path, number = stem, 2
        while path.exists():
            path, number = stem.with_name(f"{stem.name}-{number}"), number + 1
    path = named(path)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        own = (path / "run.json").exists()
        hint = (
            f"`latentia resume {shlex.quote(str(path))}` goes on with it, or give"
            if own
            else "give"
        )
        raise Error(f"{path} exists; {hint} another --run.")
    try:
        path.mkdir(parents=True, exist_ok=True)
        write_json(path / "run.json", about)
    except OSError as problem:
        raise Error(
            f"{path} cannot be written ({problem.strerror}); give a folder of your own with --run."
        ) from None
    return path
