"""`--minutes`: the number of epochs that a training has time for."""

import pytest

import latentia
from latentia.cli.main import main
from latentia.training.step_times import StepTimes
from mistakes import error

FILES = ("log.jsonl", "weights.safetensors", "state.safetensors")


@pytest.fixture
def two_epochs(monkeypatch):
    """Steps are measured, and time is found for two epochs."""
    monkeypatch.setattr(StepTimes, "count_epochs", lambda *_: 2)


def list_words(recipe, toys, data):
    values = {**toys[recipe], "data": data}
    del values["epochs"]
    return ["train", recipe, *(str(w) for k, v in values.items() for w in (f"--{k}", v))]


@pytest.mark.parametrize("recipe", ["mnist_mlp_vae", "mnist_gan"])
@pytest.mark.usefixtures("two_epochs")
def test_a_training_of_minutes_has_the_bits_of_its_number_of_epochs(
    recipe, toys, array_file, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    words = list_words(recipe, toys, array_file)
    assert main([*words, "--minutes", "3", "--run", "timed"]) == 0
    command = " ".join(["latentia", *words, "--epochs", "2", "--run"])
    assert capsys.readouterr().out.splitlines()[0] == f"{command} timed"
    assert main([*words, "--epochs", "2", "--run", "counted"]) == 0
    for name in FILES:
        assert (tmp_path / "timed" / name).read_bytes() == (
            tmp_path / "counted" / name
        ).read_bytes()
    assert latentia.load("timed").metadata["arguments"]["epochs"] == 2


@pytest.mark.usefixtures("two_epochs")
def test_python_takes_minutes_and_says_the_epochs(toys, array_file, tmp_path, capsys):
    parameters = {**toys["mnist_mlp_vae"]}
    del parameters["epochs"]
    run = latentia.train("mnist_mlp_vae", array_file, run=tmp_path / "a", minutes=1, **parameters)
    assert run.metadata["arguments"]["epochs"] == 2
    assert "minutes=1 gives epochs=2." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--minutes", "1", "--epochs", "2"], "both are given; leave one of them out."),
        (["--minutes", "0"], "--minutes is 0.0; it must be a number above 0, such as 10."),
        (["--minutes", "nan"], "--minutes is nan; it must be a number above 0, such as 10."),
        (["--minutes", "0.0001"], "has no time for one epoch and its report; give at least --min"),
    ],
)
def test_what_minutes_cannot_be_is_one_sentence(words, message, toys, array_file, tmp_path, capsys):
    words = [*list_words("mnist_mlp_vae", toys, array_file), *words]
    assert message in error(capsys, *words, "--run", str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("fresh_registries")
def test_a_recipe_without_epochs_is_refused_before_it_is_measured(array_file):
    @latentia.recipe
    def fixed(data: str = "digits") -> latentia.Plan:
        raise AssertionError

    with pytest.raises(latentia.Error, match="chooses --epochs, which fixed does not have"):
        latentia.train("fixed", array_file, minutes=1)
