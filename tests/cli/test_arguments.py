"""Words of a command are taken as they stand."""

import os
from pathlib import Path

import pytest

from latentia.cli.arguments import parse_arguments
from latentia.cli.encode_commands import encode
from latentia.cli.image_commands import sample
from latentia.core.errors import Error
from latentia.runs.folder import RunFolder, resolve_unnamed_path
from mistakes import error


def test_the_word_none_is_a_name_as_any_other():
    values = parse_arguments(sample, ["r", "--cond", "None", "--latents-out", "None"])
    assert (values["cond"], values["latents_out"]) == ("None", "None")
    assert parse_arguments(sample, ["r"])["cond"] is None
    assert parse_arguments(encode, ["r", "--label-cols=None"])["label_cols"] == "None"


def test_a_value_that_begins_with_a_dash_is_told_how_it_is_written():
    text = "Missing value for argument '--cond'. Expected 1 values, and one that begins with a dash"
    with pytest.raises(Error) as raised:
        parse_arguments(sample, ["r", "--cond", "-dash"])
    assert str(raised.value).startswith(f"{text} is written with =, such as --cond=-1; latentia")
    assert parse_arguments(sample, ["r", "--cond=-dash"])["cond"] == "-dash"


def test_a_word_without_its_option_is_named_with_the_option_of_images(capsys):
    text = "No option stands before photos/, as --data before a folder; latentia {} --help "
    assert error(capsys, "train", "conv_vae", "photos/").startswith(text.format("train conv_vae"))
    words = ["encode", "run", "photos/", "--beta", "1"]
    assert error(capsys, *words).startswith(text.format("encode"))
    text = "No option stands before b, c; latentia push --help shows its options."
    assert error(capsys, "push", "run", "me/x", "b", "c") == text


def test_a_run_is_never_taken_for_an_option_or_a_name_of_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("-r", "hub:x"):
        assert resolve_unnamed_path(f"./{name}") == tmp_path / name
    assert resolve_unnamed_path("r/-x") == Path("r/-x")


def test_a_run_whose_path_is_not_utf8_is_refused_in_one_sentence(tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")
    with pytest.raises(
        Error, match=r"/caf\\udce9 holds bytes that are not UTF-8; give a folder of"
    ):
        RunFolder.open(path)
