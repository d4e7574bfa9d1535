"""Registry: the named entries of one kind, built in or added by plugins."""

import importlib
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from latentia.core.errors import Error
from latentia.core.plugins import FILE_PREFIX, describe_failures, load_installed_plugins
from latentia.core.text import suggest_name

T = TypeVar("T")
PACKAGE = Path(__file__).parents[1]
ADVICE = "--plugin FILE or an installed package adds one of your own"


class Entry(NamedTuple):
    """What is registered; module: that of the code; before: names of entries that come later."""

    value: Any
    module: str
    before: tuple[str, ...]


class Registry(Generic[T]):
    """Named entries of one kind, such as metrics: first the built-in ones, then those of plugins.

    Built-in names are read from the text of their files, since help must not wait for torch. A file
    is imported when one of its entries is looked up.

    Parameters
    ----------
    noun : kind of the entries in messages, and name of their decorator
    files : files of this package with built-in entries
    """

    def __init__(self, noun: str, files: Iterable[Path] = ()):
        self.noun, self.files = noun, sorted(files)
        self._entries: dict[str, Entry] = {}
        self._keeps_first = False

    def register(
        self,
        name: str | Callable | None = None,
        make_value: Callable[[Any], T] | None = None,
        before: str | tuple[str, ...] = (),
    ) -> Any:
        """Decorate a function or class that is an entry, by its own name or another.

        make_value: from the function to the entry, if that is more than the function

        Raises: Error if the name exists, or is not made of letters, digits, _ and -
        """

        def add(function: Any) -> Any:
            key = name if isinstance(name, str) else getattr(function, "__name__", "")
            module = getattr(function, "__module__", None) or "__main__"
            value = make_value(function) if make_value else function
            if self._is_free(key, module):
                names = (before,) if isinstance(before, str) else tuple(before)
                self._entries[key] = Entry(value, module, names)
            return function

        return add(name) if callable(name) else add

    @contextmanager
    def keep_first(self) -> Iterator[None]:
        """Ignore entries of existing names inside the block, instead of an Error."""
        self._keeps_first = True
        try:
            yield
        finally:
            self._keeps_first = False

    def __getitem__(self, name: str) -> T:
        """Return an entry. Raises: Error if there is none of this name, with the nearest name."""
        if not isinstance(name, str) or name not in self:
            raise Error(self.describe_missing(name))
        if name not in self._entries:
            importlib.import_module(self._modules[name])
        return self._entries[name].value

    def __contains__(self, name: object) -> bool:
        if name not in self._entries and name not in self._modules:
            load_installed_plugins()
        return name in self._entries or name in self._modules

    def __iter__(self) -> Iterator[str]:
        load_installed_plugins()
        names, visited = [], set()

        def visit(name: str) -> None:
            if name not in visited:
                visited.add(name)
                for earlier, entry in self._entries.items():
                    if name in entry.before:
                        visit(earlier)
                names.append(name)

        for name in [*self.list_builtin_names(), *self._entries]:
            visit(name)
        return iter(names)

    def find_name(self, value: Any) -> str | None:
        """Return the name under which an object is registered, if it is."""
        return next((name for name, each in self._entries.items() if each.value is value), None)

    def describe_names(self) -> str:
        """Join the names for help, each in the form that a user writes if it is another."""
        values = {name: entry.value for name, entry in self._entries.items()}
        return ", ".join(getattr(values.get(name), "usage", "") or name for name in self)

    def list_builtin_names(self) -> list[str]:
        registered = (name for name, entry in self._entries.items() if is_builtin(entry.module))
        return [*dict.fromkeys([*self._modules, *registered])]

    def describe_origin(self, name: str) -> str:
        """Return the file or package that added an entry; "" for a built-in one."""
        module = self._entries[name].module if name in self._entries else "latentia"
        if is_builtin(module):
            return ""
        return find_file(module) if module.startswith(FILE_PREFIX) else module.partition(".")[0]

    def describe_missing(self, name: str) -> str:
        """Return the message that there is no entry `name`, with those that there are."""
        near = suggest_name(name, self, "; did you mean {}? The")
        return (
            f"There is no {self.noun} {name}{near or '; the'} {self.noun}s are "
            f"{self.describe_names()}; {ADVICE}.{describe_failures()}"
        )

    @cached_property
    def _modules(self) -> dict[str, str]:
        """Module of each built-in entry that a file of `files` decorates."""
        decorator = self.noun.replace(" ", "_")
        pattern = rf'^@{decorator}\b(?:\("([\w-]+)")?.*\n(?:def|class) (\w+)'
        modules = {}
        for file in self.files:
            parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
            for name, function_name in re.findall(pattern, file.read_text("utf-8"), re.M):
                modules[name or function_name] = ".".join(parts)
        return modules

    def _is_free(self, name: str, module: str) -> bool:
        """Whether an entry may be added: its name is new, or the same file defines it again.

        Raises: Error if the name has other characters, or belongs to another file.
        """
        if not re.fullmatch(r"[\w-]+", name):
            text = f"{name or 'This object'} cannot be the name of a {self.noun}; give one of"
            raise Error(f"{text} letters, digits, - and _: @latentia.{self.noun}('NAME').")
        existing = self._entries[name].module if name in self._entries else self._modules.get(name)
        if existing is None or find_file(existing) == find_file(module):
            return True
        if is_builtin(existing) and is_builtin(module):
            return True
        if self._keeps_first:
            return False
        owner = self.describe_origin(name) or "latentia"
        file = find_file(module)
        raise Error(f"There is a {self.noun} {name} already, of {owner}; rename that of {file}.")


def is_builtin(module: str) -> bool:
    return module.partition(".")[0] == "latentia"


def find_file(module: str) -> str:
    """Return the file of an imported module, or its name if it has none."""
    return getattr(sys.modules.get(module), "__file__", None) or module
