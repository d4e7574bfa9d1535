"""Plugins: files and installed packages that register recipes, metrics and more."""

import hashlib
import importlib.util
import os
import sys
import traceback
from pathlib import Path
from types import ModuleType

from latentia.core.errors import Error, describe_exception

GROUP = "latentia.plugins"  # entry points of installed packages
FILE_PREFIX = "_latentia_plugin_"  # of module names: a file's own name could hide a module
_files: list[str] = []
_failures: dict[str, str] = {}  # reason by the name of an entry point
_searched_groups: set[str] = set()
_trust: dict[str, bool] = {}  # by the command line's option


def load_plugin(file: Path | str) -> ModuleType:
    """Load a file that registers recipes, modifiers, metrics, sources, likelihoods or samplers.

    On the command line every command takes `--plugin FILE`. A file is loaded once. A module that
    is imported needs no loading: its decorators register what it adds.

    Parameters
    ----------
    file : str or Path
        file of Python code

    Returns
    -------
    module
        the module of the file, which has a private name

    Raises
    ------
    Error
        if there is no such file, or it registers a name that exists

    Examples
    --------
    >>> from pathlib import Path
    >>> import latentia
    >>> text = "import latentia\\n@latentia.metric\\ndef brightness(evaluation): return []\\n"
    >>> _ = Path("my_metric.py").write_text(text)
    >>> latentia.load_plugin("my_metric.py").brightness(None)
    []
    """
    path = Path(file).expanduser()
    if not path.is_file():
        raise Error(f"There is no file {file or '(none was given)'}; --plugin takes a file, my.py.")
    module = load_file(str(path.resolve()))
    if str(file) not in _files:
        _files.append(str(file))
    return module


def load_file(path: str, content: bytes | None = None) -> ModuleType:
    """Import the file at an absolute path once, under a private name.

    content: bytes of the file, if they were read before
    """
    path_hash = hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()
    name = FILE_PREFIX + path_hash[:16]
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or not path.endswith(".py"):
        raise Error(f"{path} is no file of Python code; its name must end in .py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses with written-out annotations look there
    try:
        # the loader would prefer a compiled copy beside the file, whose content nobody has seen
        source = Path(path).read_bytes() if content is None else content
        exec(compile(source, path, "exec"), module.__dict__)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, Error | KeyboardInterrupt):
            raise
        reason = describe_failure(error, path)
        raise Error(f"{path} cannot be loaded ({reason}); repair it.") from error
    return module


def describe_failure(error: BaseException, path: str) -> str:
    """Return the type and message of an exception, and the last line of a file that it passed."""
    frames = traceback.walk_tb(error.__traceback__)
    lines = [line for frame, line in frames if frame.f_code.co_filename == path]
    place = f", in line {lines[-1]}" if lines else ""
    return describe_exception(error) + place


def load_installed_plugins() -> None:
    """Import the plugins of installed packages, once. One that fails costs a warning line."""
    if GROUP in _searched_groups:
        return
    _searched_groups.add(GROUP)  # first: a plugin may read a registry while it is imported
    from importlib.metadata import entry_points  # takes a fifth of the time of --help

    for point in entry_points(group=GROUP):
        try:
            point.load()
        except Exception as error:  # whatever the code of others raises
            _failures[point.name] = reason = describe_exception(error)
            if os.environ.get("RANK", "0") == "0":
                text = f"WARNING: the plugin {point.name} ({point.value}) cannot be imported"
                sys.stderr.write(f"{text} ({reason}).\n")


def describe_failures() -> str:
    """Return one sentence for each plugin that could not be imported; "" without any."""
    failures = _failures.items()
    return "".join(f" The plugin {name} cannot be imported ({why})." for name, why in failures)


def set_trust(trusts_recipes: bool) -> None:
    """Decide whether every run that this process opens may execute its recipe file."""
    _trust["recipes"] = trusts_recipes


def trusts_recipes() -> bool:
    return _trust.get("recipes", False)


def list_plugin_words() -> list[str]:
    """Return --plugin and its file for each loaded file, for a command that repeats this one."""
    return [word for file in _files for word in ("--plugin", file)]
