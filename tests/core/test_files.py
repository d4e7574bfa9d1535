"""Files, names and commands that are right on every system."""

import os
import shlex
import shutil

import pytest

from latentia.core import files
from latentia.core.files import find_absolute_path, make_file_name, replace_file
from latentia.core.folders import fill_folder, is_free
from latentia.core.text import join_command


def test_a_file_that_another_program_reads_is_replaced_when_it_is_free(tmp_path, monkeypatch):
    (tmp_path / "new").write_bytes(b"new")
    (tmp_path / "old").write_bytes(b"old")
    replace, refusals = os.replace, iter([True, True, False])

    def refuse(source, target):
        if next(refusals):
            raise PermissionError(13, "Access is denied")
        replace(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    replace_file(tmp_path / "new", tmp_path / "old")
    assert (tmp_path / "old").read_bytes() == b"new"


def test_a_file_that_is_never_free_ends_the_waiting(tmp_path, monkeypatch):
    def refuse(source, target):
        raise PermissionError(13, "Access is denied")

    monkeypatch.setattr(os, "replace", refuse)
    monkeypatch.setattr(files, "RETRIES", 2)
    with pytest.raises(PermissionError):
        replace_file(tmp_path / "new", tmp_path / "old")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("/home/ada/faces", "faces"),
        (r"C:\Users\Ada L\faces", "faces"),
        ("d:/faces/a.npy", "a.npy"),
        (r"\\server\share\faces", "faces"),
        ("faces", None),
        ("hub:me/faces", None),
        ("s3://bucket/faces", None),
        (r"C:faces", None),
    ],
)
def test_absolute_paths_of_every_system_are_told(text, name):
    path = find_absolute_path(text)
    assert (path and path.name) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("faces_vae", "faces_vae"),
        ("größe", "größe"),
        ("aux", "_aux"),
        ("Con.v2", "_Con.v2"),
        ("com0x", "com0x"),
        ('a:b?*"<>|/\\', "a_b________"),
        ("ends. . ", "ends"),
        ("...", "_"),
    ],
)
def test_file_names_are_allowed_on_every_system(text, name):
    assert make_file_name(text) == name


def test_commands_have_the_quotes_of_the_system(monkeypatch):
    words = ["latentia", "report", "my runs/a", "it's"]
    assert shlex.split(join_command(words)) == words
    with monkeypatch.context() as patch:
        patch.setattr(os, "name", "nt")
        text = join_command(["latentia", "report", r"C:\my runs\a", 3])
    assert text == r'latentia report "C:\my runs\a" 3'


def test_a_folder_whose_filling_was_killed_is_filled_again(tmp_path, monkeypatch):
    def fill():
        with fill_folder(tmp_path, "give another") as part:
            for name in "abc":
                (part / name).mkdir()
                (part / name / "file").write_text(name)

    replace = os.replace

    def die_at_b(source, target):
        if target.name == "b":
            raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", die_at_b)
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)  # a killed process removes nothing
        with pytest.raises(KeyboardInterrupt):
            fill()
    assert (tmp_path / "a" / "file").exists()
    assert not (tmp_path / "b").exists()
    assert is_free(tmp_path)
    fill()
    assert [file.read_text() for file in sorted(tmp_path.glob("*/file"))] == ["a", "b", "c"]
    assert not is_free(tmp_path)
