"""Windows and macOS, played on Linux: what these systems lack or refuse is so in a block.

As a program, `python systems.py windows WORDS`, it runs a command and dies before its second state
is in place, as at a kill.
"""

import builtins
import ctypes
import errno
import io
import locale
import os
import re
import shutil
import signal
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

try:
    import fcntl
except ImportError:  # the real Windows, which plays nothing
    fcntl = None

PACKAGE = str(Path(__file__).parents[1] / "src" / "latentia")
POSIX_MODULES = {"fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "posix", "syslog"}
LINUX_ONLY = {"sched_getaffinity", "sched_setaffinity", "posix_fallocate", "posix_fadvise"}
POSIX_ONLY = {"fork", "forkpty", "getuid", "geteuid", "getgid", "mkfifo", "sync"}
POSIX_ONLY |= {"O_DIRECTORY", "killpg", "getpgid", "setsid", "getloadavg", "chown", "nice"}
SIGNALS = {"SIGKILL", "SIGALRM", "SIGUSR1", "SIGUSR2", "SIGHUP", "SIGQUIT", "setitimer", "alarm"}
FORBIDDEN = re.compile(r'[<>:"|?*\\\0-\x1f]|[. ]$')
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
F_FULLFSYNC = 51  # of macOS
full_syncs = []  # calls of it


def refuse(path, number=errno.EACCES):
    raise OSError(number, os.strerror(number), str(path))


def is_ours(depth=2):
    """Whether code of the package makes the call, be it through the standard library."""
    frame = sys._getframe(depth)
    while frame and re.search(
        r"/(pathlib|tempfile|contextlib|codecs)\.py", frame.f_code.co_filename
    ):
        frame = frame.f_back
    return frame.f_code.co_filename.startswith(PACKAGE)


def list_open_files():
    links = (Path(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd"))
    names = {os.readlink(link) for link in links if link.is_symlink()}
    return names | list_mapped_files()


def list_mapped_files():
    lines = Path("/proc/self/maps").read_text("utf-8").splitlines()
    return {line.split(maxsplit=5)[5] for line in lines if "/" in line}


def require_unused(path, files=list_open_files):
    """Raises: OSError if this process has the file, or one in the folder, open or mapped."""
    whole = os.path.realpath(path)
    if "filelock-probe" in whole:  # of the library's lock on Linux; on Windows it has another
        return
    if any(name == whole or name.startswith(f"{whole}/") for name in files()):
        refuse(path)


def require_name(path):
    """Check a name that is new: allowed on Windows, and no other's in other letters."""
    folder, name = os.path.split(os.path.abspath(os.fspath(path)))
    if FORBIDDEN.search(name) or RESERVED.fullmatch(name):
        refuse(path, errno.EINVAL)
    if os.path.isdir(folder) and not os.path.lexists(os.path.join(folder, name)):
        twins = [each for each in os.listdir(folder) if each.casefold() == name.casefold()]
        assert not twins, f"{path} and {twins[0]} are one file where letters are blind to case"


def play_open(is_windows):
    real = builtins.open

    def play(file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, *rest, **more):
        is_path, is_written = isinstance(file, str | os.PathLike), set(mode) & set("wax+")
        if is_path and set(mode) & set("wax"):
            require_name(file)
            if is_windows and "w" in mode:
                require_unused(file, list_mapped_files)
        if is_windows and "b" not in mode:
            if encoding in (None, "locale"):
                if is_ours():
                    raise EncodingWarning(f"{file} is opened as text without an encoding")
                encoding = "cp1252"
            newline = "\r\n" if newline is None and is_written else newline
        return real(file, mode, buffering, encoding, errors, newline, *rest, **more)

    return [patch.object(builtins, "open", play), patch.object(io, "open", play)]


def play_import():
    """The package imports no module of POSIX; other packages have branches by `os.name`."""
    real = builtins.__import__

    def play(name, scope=None, *rest, **more):
        if name in POSIX_MODULES and str((scope or {}).get("__name__")).startswith("latentia"):
            raise ModuleNotFoundError(f"No module named {name!r}")
        return real(name, scope, *rest, **more)

    return patch.object(builtins, "__import__", play)


def play_names():
    def named(real, index):
        def play(*words, **more):
            require_name(words[index])
            return real(*words, **more)

        return play

    places = {"mkdir": 0, "replace": 1, "rename": 1}
    return [patch.object(os, name, named(getattr(os, name), k)) for name, k in places.items()]


def play_handles():
    """A file that is open or mapped stays, no folder is opened, no reader is flushed."""
    replace, rename, unlink, fsync, open_ = os.replace, os.rename, os.unlink, os.fsync, os.open

    def play_replace(source, target, **more):
        require_unused(source)
        require_unused(target)
        return replace(source, target, **more)

    def play_rename(source, target, **more):
        require_unused(source)
        if os.path.exists(target):
            refuse(target, errno.EEXIST)
        return rename(source, target, **more)

    def play_unlink(path, **more):
        require_unused(path)
        return unlink(path, **more)

    def play_fsync(file):
        number = file if isinstance(file, int) else file.fileno()
        if fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            refuse(number, errno.EBADF)
        return fsync(number)

    def play_os_open(path, *words, **more):
        if os.path.isdir(path):
            refuse(path)
        return open_(path, *words, **more)

    plays = {"replace": play_replace, "rename": play_rename, "unlink": play_unlink}
    plays |= {"remove": play_unlink, "fsync": play_fsync, "open": play_os_open}
    plays |= {"symlink": lambda source, target, **_: refuse(target, errno.EPERM)}
    return [patch.object(os, name, function) for name, function in plays.items()]


def play_full_sync(real):
    def play(file, command, *words):
        if command != F_FULLFSYNC:
            return real(file, command, *words)
        return full_syncs.append(file)

    return play


def play_library():
    """No C library of Linux, whose `mallopt` keeps freed memory."""
    real = ctypes.CDLL

    def play(name, *words, **more):
        return refuse(name, errno.ENOENT) if name == "libc.so.6" else real(name, *words, **more)

    return patch.object(ctypes, "CDLL", play)


@contextmanager
def lack(module, names):
    kept = {name: getattr(module, name) for name in names if hasattr(module, name)}
    for name in kept:
        delattr(module, name)
    try:
        yield
    finally:
        for name, value in kept.items():
            setattr(module, name, value)


@contextmanager
def play_system(name):
    """Play linux (nothing), macos or windows."""
    with ExitStack() as stack:
        if name == "linux":
            yield
            return
        blocks = [lack(os, LINUX_ONLY), play_library()]
        if name == "windows":
            blocks += [*play_handles(), *play_names(), *play_open(is_windows=True), play_import()]
            blocks += [lack(os, POSIX_ONLY), lack(signal, SIGNALS)]
            blocks += [patch.object(shutil, "_use_fd_functions", False)]
            blocks += [patch.object(os, "linesep", "\r\n")]
            blocks += [patch.dict(os.environ, {"USERNAME": "ada"})]
            for function in ("getpreferredencoding", "getencoding"):
                blocks.append(patch.object(locale, function, lambda *_: "cp1252"))
        else:
            blocks += [*play_names(), *play_open(is_windows=False)]
            blocks += [patch.object(fcntl, "F_FULLFSYNC", F_FULLFSYNC, create=True)]
            blocks += [patch.object(fcntl, "fcntl", play_full_sync(fcntl.fcntl))]
        for block in blocks:
            stack.enter_context(block)
        yield


def die_at_second_state():
    replace, count = os.replace, 0

    def play(source, target, **more):
        nonlocal count
        count += Path(target).name == "state.safetensors"
        if count == 2:
            os._exit(9)
        return replace(source, target, **more)

    os.replace = play


if __name__ == "__main__":
    import torch  # noqa: F401

    with play_system(sys.argv[1]):
        die_at_second_state()
        from latentia.cli.main import main

        sys.exit(main(sys.argv[2:]))
