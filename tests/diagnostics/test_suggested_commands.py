"""Every command of every check runs as printed, keeps what the run is, and changes something."""

import json
import shlex
import shutil
from contextlib import suppress
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import latentia
from latentia.cli import doctor_commands, image_commands, search_commands, train_commands
from latentia.cli.arguments import parse_arguments
from latentia.cli.main import main
from latentia.cli.train_arguments import parse_train_arguments
from latentia.core.errors import Error
from latentia.diagnostics import adversary, data, latents
from latentia.diagnostics import suggested_commands as suggest
from latentia.diagnostics.run_context import RunContext
from latentia.runs.create import create_run
from latentia.runs.folder import RunFolder
from latentia.training.plan import Options

OPTIONS = Options(
    seed=3, threads=1, background=0.5, validation=0.2, white=300, black=-10, save_every=7
)
COLOUR = {"size": "32", "channels": 3, "epochs": 2, "batch": 16}
RUNS = {
    "colour": ("conv_vae", {**COLOUR, "latent": 6, "beta": 4.0}, {}),
    "scheduled": ("conv_vae", COLOUR, {"kl_schedule": {"kl_schedule": "exponential"}}),
    "many betas": ("conv_vae", COLOUR, {"multirate": {"multirate": "0.05:20"}}),
    "grey": ("mnist_mlp_vae", {"hidden": 30, "lr": 1e-2}, {"free_bits": {"free_bits": 0.2}}),
    "convolutions": ("mnist_conv_vae", {"beta": 3.0}, {}),
    "GAN": ("mnist_dcgan", {"gamma": 100.0}, {}),
    "usual GAN": ("mnist_gan", {}, {}),
    "VAE-GAN": ("vaegan", {**COLOUR, "adversarial_weight": "published"}, {}),
    "usual VAE-GAN": ("vaegan", {**COLOUR, "latent": 8}, {}),
    "maps": ("image_autoencoder", {**COLOUR, "width": 8}, {}),
    "sigma": ("speckle_vae", {**COLOUR, "sigma": "published"}, {}),
}


def advice(context):
    """Every call by which a check makes its commands."""
    calls = [
        lambda: suggest.retrain_run(context, "all", data="digits"),
        lambda: data.too_few_images.run(context).suggested_commands,
        lambda: suggest.write_image_table(context),
        lambda: suggest.retrain_run(context, "balanced", balance="label"),
        lambda: suggest.lower_learning_rate(context),
        lambda: suggest.retrain_run(context, "fp32", precision="fp32"),
        lambda: suggest.resume_training(context, context.run.path),
        lambda: suggest.train_longer(context, min_factor=1),
        lambda: suggest.train_longer(context),
        lambda: suggest.retrain_run(context, "epochs1", epochs=1),
        lambda: suggest.retrain_run(context, "clip3", clip=3.0),
        lambda: suggest.retrain_run(
            context,
            "warmup",
            modifiers={"kl_schedule": {"kl_schedule": "linear", "kl_warmup": 0.0, "kl_until": 0.5}},
        ),
        lambda: suggest.reset_parameters(context, "lr"),
        lambda: latents.lower_beta(context, context.parameters.get("beta")),
        lambda: suggest.choose_beta(context, "reconstruction"),
        lambda: suggest.train_prior(context),
        lambda: suggest.draw_samples(context, context.run.path),
        lambda: suggest.retrain_run(context, "latent2", latent=2),
        lambda: suggest.retrain_run(context, "sigma", sigma="optimal"),
        lambda: suggest.retrain_run(context, "beta2.5", beta=2.5),
        lambda: adversary.restore_balance(context),
        lambda: adversary.stabilize_training(context),
        lambda: adversary.halve_reconstructions(context),
        lambda: adversary.reset_adversarial_weight(context),
        lambda: adversary.reset_adversarial_weight(context, "adversary", adversary_from=0.5),
        lambda: suggest.retrain_run(context, "guidance1", guidance=1.0),
    ]
    commands = []
    for call in calls:
        with suppress(IndexError):  # no log row: the check itself would have found nothing
            commands += call()
    return commands


@pytest.fixture
def pictures(tmp_path):
    rng = np.random.default_rng(0)
    for name, n in {"cats": 40, "dogs": 6, "owls": 6}.items():
        folder = tmp_path / "my pictures" / name
        folder.mkdir(parents=True)
        for k in range(n):
            Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(folder / f"{k}.png")
    return tmp_path / "my pictures"


def parse(command):
    """The words of a command, as its own parser reads them."""
    words = shlex.split(command)
    assert words[0] == "latentia"
    if words[1] == "train":
        return parse_train_arguments(words[2], words[3:])
    homes = {
        "doctor": doctor_commands.doctor,
        "sample": image_commands.sample,
        "choose": search_commands.choose,
        "resume": train_commands.resume,
    }
    return parse_arguments(homes[words[1]], words[2:])


def check_training(command, run, data):
    """Parse a training, and compare it with the run's own."""
    words, arguments = shlex.split(command), parse(command)
    metadata = run.metadata
    options, old = asdict(arguments.options), metadata["options"]
    chosen = {*metadata["auto_options"]}
    changed = {name for name in old if options[name] != old[name]} - chosen
    assert changed <= {"balance", "precision"}, command
    if words[2] == "latent_prior" and metadata["recipe"] != "latent_prior":
        assert arguments.parameters["autoencoder"] == str(run.path)
        return
    assert arguments.parameters["data"] in (data, "digits"), command
    assert not RunFolder(run.path.parent / arguments.run, {}).path.exists()
    if words[2] != metadata["recipe"]:
        assert metadata["images"]["shape"] == [1, 28, 28]
        return
    before = {k: v for k, v in metadata["arguments"].items() if k != "data"}
    after = {k: v for k, v in arguments.parameters.items() if k != "data"}
    for name in ("size", "channels"):
        assert str(after.get(name)) == str(before.get(name)), command
    modifiers = {name: {**suggest.get_defaults(suggest.MODIFIERS[name]), **each}
                 for name, each in metadata["modifiers"].items()}  # fmt: skip
    assert arguments.modifiers.keys() >= modifiers.keys(), command
    is_other_data = arguments.parameters["data"] != data
    assert changed or after != before or arguments.modifiers != modifiers or is_other_data, command


def make_run(folder, name, pictures):
    recipe, parameters, modifiers = RUNS[name]
    parameters = {**parameters, "data": str(pictures)}
    run, _ = create_run(recipe, parameters, modifiers, OPTIONS, folder)
    return run


@pytest.mark.parametrize("name", RUNS)
def test_every_command_parses_keeps_what_the_run_is_and_changes_something(
    name, pictures, tmp_path, monkeypatch
):
    elsewhere = tmp_path / "else where"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    run = make_run("deep/in a/run", name, pictures)
    moved = pictures.rename(tmp_path / "moved")
    for place, address in ((None, str(pictures)), ("../moved", str(moved))):
        commands = advice(RunContext(run, data=place))
        assert len({*commands}) > 8
        folders = {}
        for command in {*commands}:
            words = shlex.split(command)
            if words[1] == "train":
                check_training(command, run, address)
                folders.setdefault(words[words.index("--run") + 1], []).append(command)
            else:
                values = parse(command)
                assert values["run"] == str(run.path)
                assert values["data"] == (address if place else None)
        assert all(len(each) == 1 for each in folders.values()), folders


def test_a_second_ask_names_folders_and_tables_that_do_not_exist(pictures, tmp_path):
    run = make_run(tmp_path / "run", "colour", pictures)
    first = [shlex.split(command) for command in advice(RunContext(run))]
    for words in first:
        if "--run" in words:
            (tmp_path / words[words.index("--run") + 1]).mkdir(exist_ok=True)
        if "--table" in words:
            (tmp_path / words[words.index("--table") + 1]).write_text("edited by hand")
    for words in map(shlex.split, advice(RunContext(run))):
        for flag in {"--run", "--table"} & {*words}:
            assert not (tmp_path / words[words.index(flag) + 1]).exists()


def test_a_command_that_changes_nothing_is_not_printed(pictures, tmp_path):
    run = make_run(tmp_path / "run", "colour", pictures)
    context = RunContext(run)
    assert suggest.retrain_run(context, "same", beta=4.0) == []
    assert suggest.retrain_run(context, "same", seed=3, latent=6) == []
    assert suggest.retrain_run(context, "other", seed=3, latent=5)
    assert suggest.use_recipe(context, "mnist_mlp_vae", "small") == []  # of another size


def test_a_prior_keeps_its_autoencoder_or_takes_the_runs_own_copy(tmp_path, toy):
    parent = toy("vae", epochs=1)
    prior = toy("prior", "latent_prior", autoencoder=str(parent.path), epochs=1)
    (command,) = suggest.train_longer(RunContext(prior))
    assert f"--autoencoder {parent.path}" in command
    shutil.rmtree(parent.path)
    (command,) = suggest.train_longer(RunContext(prior))
    assert f"--autoencoder {prior.path / 'autoencoder'}" in command
    words = shlex.split(command)
    words[words.index("--epochs") + 1] = "1"
    assert main(words[1:]) == 0


def test_commands_of_a_diagnosis_run_for_moved_pictures_and_a_nested_run(
    pictures, tmp_path, monkeypatch, capsys
):
    """Dominated by cats, with blank pictures: the table is written, edited, and the note gone."""
    for k in range(9):  # some are test images
        Image.new("RGB", (32, 32), (k, 0, 0)).save(pictures / "cats" / f"blank{k}.png")
    monkeypatch.chdir(tmp_path)
    words = ["conv_vae", "--size", "16", "--channels", "3", "--latent", "2", "--epochs", "1"]
    words += ["--batch", "16", "--threads", "1", "--validation", "0", "--run", "runs/first one"]
    assert main(["train", *words, "--data", "my pictures"]) == 0
    pictures.rename(tmp_path / "moved")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    ask = ["doctor", "../runs/first one", "--data", "../moved", "--json"]
    capsys.readouterr()
    assert main([*ask[:2], "--json"]) == 0  # without their images no command would run
    report = json.loads(capsys.readouterr().out)
    assert "constant images" in [each["kind"] for each in report["findings"]]
    assert not any(each["suggested_commands"] for each in report["findings"])
    assert main(ask) == 0
    report = json.loads(capsys.readouterr().out)
    findings = {each["kind"]: each for each in report["findings"]}
    (table,) = findings["constant images"]["suggested_commands"]
    (balanced,) = findings["one class dominates"]["suggested_commands"]
    assert findings["one class dominates"]["severity"] == "NOTE"
    assert main(shlex.split(table)[1:]) == 0
    file = shlex.split(table)[shlex.split(table).index("--table") + 1]
    rows = pd.read_csv(file)
    assert list(rows.columns) == ["key", "finding", "value", "same_as"]
    blank = rows.loc[rows["finding"] == "constant images", "key"]
    assert len(blank) == findings["constant images"]["values"]["count"]
    assert blank.str.startswith("cats/blank").all()
    train = shlex.split(balanced)[1:-1]
    assert main([*train, "without", "--exclude", file]) == 0
    capsys.readouterr()
    assert main(["doctor", "without", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert "constant images" not in [each["kind"] for each in report["findings"]]
    assert {each["key"] for each in report["images"]} >= {*blank}  # they stay left out
    (longer, *_) = [c for f in report["findings"] for c in f["suggested_commands"] if "train" in c]
    assert f"--exclude '{tmp_path}/runs/first one-images.csv'" in longer
    assert main(shlex.split(balanced)[1:]) == 0
    healed = shlex.split(balanced)[-1]
    assert RunFolder.open(healed).metadata["arguments"]["size"] == 16
    capsys.readouterr()
    assert main(["doctor", healed, "--json"]) == 0
    left = [each["kind"] for each in json.loads(capsys.readouterr().out)["findings"]]
    assert "one class dominates" not in left
    assert main(ask) == 0  # a second ask
    again = {each["kind"]: each for each in json.loads(capsys.readouterr().out)["findings"]}
    assert again["one class dominates"]["suggested_commands"] != [balanced]
    assert again["constant images"]["suggested_commands"] != [table]


def test_a_table_of_repeated_images_leaves_out_the_repetitions_only(tmp_path, toy, images):
    images[20:30] = images[:10]
    np.save(tmp_path / "twice.npy", images)
    data = str(tmp_path / "twice.npy")
    run = toy("a", data=data, epochs=1)
    table = tmp_path / "odd.csv"
    assert main(["doctor", str(run.path), "--table", str(table)]) == 0
    rows = pd.read_csv(table, dtype=str)
    assert {*rows["finding"]} == {"images given twice", "images in two splits"}
    assert len(rows) >= 9
    options = Options(log_every=2, save_every=2, exclude=str(table))
    again = latentia.load(toy("b", data=data, epochs=1, options=options).path)
    assert {*again.images.split("all").keys} == {*run.images().split("all").keys} - {*rows["key"]}
    left = [finding.kind for finding in again.diagnose().findings]
    assert not {"images given twice", "images in two splits"} & {*left}


@pytest.mark.parametrize("name", ["odd.txt", "missing"])
def test_a_table_of_another_suffix_is_one_sentence(name, toy, capsys):
    run = toy("a", epochs=1)
    assert main(["doctor", str(run.path), "--table", name]) == 2
    assert "give a .csv file." in capsys.readouterr().err


def test_a_table_that_cannot_be_written_is_one_sentence_and_home_is_expanded(
    toy, tmp_path, monkeypatch, capsys
):
    run = toy("a", epochs=1)
    (tmp_path / "file").write_text("")
    assert main(["doctor", str(run.path), "--table", str(tmp_path / "file" / "t.csv")]) == 2
    assert "t.csv cannot be written (File exists); give another --table." in (
        capsys.readouterr().err
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    assert main(["doctor", str(run.path), "--table", "~/new/odd.csv"]) == 0
    assert (tmp_path / "new" / "odd.csv").read_text() == "key,finding,value,same_as\n"


def test_images_and_code_of_a_session_get_calls_of_python(tmp_path, fresh_registries):
    rng = np.random.default_rng(0)
    images = rng.random((40, 8, 8)).astype(np.float32)
    images[:3] = 0.5

    def mine_in_session(data="digits", hidden: int = 8, lr: float = 1e-2, epochs: int = 1):
        return latentia.find_recipe("mnist_mlp_vae")(data, hidden=hidden, lr=lr, epochs=epochs)

    mine_in_session.__module__ = "__main__"
    options = {"validation": 0.0, "threads": 1, "progress": False}
    run = latentia.train(mine_in_session, images, run=tmp_path / "run", **options)
    (table,) = suggest.write_image_table(RunContext(run.folder, data=images))
    assert eval(table, {"latentia": latentia, "data": images}) is None
    keys = pd.read_csv(tmp_path / "run-images.csv")["key"]
    assert 1 <= len(keys) <= 3
    assert len(run.diagnose().to_frame()) == len(keys)
    np.save(tmp_path / "a.npy", images)
    run = latentia.train(
        mine_in_session, str(tmp_path / "a.npy"), run=tmp_path / "other", **options
    )
    context = RunContext(run.folder)
    (call,) = suggest.retrain_run(context, "lr", lr=1e-3)
    assert eval(call, {"latentia": latentia}).is_complete
    (call,) = suggest.resume_training(context, run.path)
    assert eval(call, {"latentia": latentia}).is_complete
    with pytest.raises(Error):
        parse(f"latentia train unknown --data {tmp_path}")


def test_a_prior_is_balanced_by_the_table_of_its_autoencoder(tmp_path):
    np.save(tmp_path / "a.npy", np.random.default_rng(0).random((40, 8, 8), np.float32))
    rows = [f"{k},{'cat' if k % 4 else 'dog'}" for k in range(40)]
    (tmp_path / "t.csv").write_text("\n".join(["key,kind", *rows]))
    options = {"labels": str(tmp_path / "t.csv"), "balance": "kind", "progress": False}
    run = latentia.train(
        "mnist_mlp_vae",
        str(tmp_path / "a.npy"),
        run=tmp_path / "run",
        supervise="kind",
        latent=2,
        hidden=8,
        epochs=1,
        **options,
    )
    (command,) = suggest.train_prior(RunContext(run.folder))
    assert f"--labels {tmp_path}/t.csv --balance kind" in command
    parameters = {"batch": 16, "width": 8, "depth": 1, "epochs": 1, "run": tmp_path / "prior"}
    prior = latentia.train("latent_prior", autoencoder=run, **options, **parameters)
    assert prior.metadata["images"]["labels"]["kind"] == ["cat", "dog"]
    (again,) = suggest.train_longer(RunContext(run.folder))
    assert "--balance kind" in again
