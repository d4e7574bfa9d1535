"""A run of --cond: samples, analogies and tables by label, its metric, its findings, its errors."""

import shlex
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from toys import TRAIN

import latentia
from latentia.api.training import resume_run, start_run
from latentia.cli.main import main
from latentia.core.errors import Error
from latentia.diagnostics.diffusion import condition_ignored
from latentia.diagnostics.run_context import RunContext
from latentia.explorer.routes import create_application
from latentia.explorer.security import SecurityMiddleware
from latentia.explorer.session import RunSession
from latentia.explorer.worker import Worker
from latentia.latents.probes import probe_labels
from latentia.nets.column_condition import use_columns
from latentia.nets.film import Modulation

DIGITS = {"data": "digits:400", "batch": 32, "latent": 4, "hidden": 32}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("conditions")
    return latentia.train("mnist_mlp_vae", **DIGITS, cond="label", epochs=25, run=folder / "run")


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    """Squares whose grey value is a number of the table; another column is noise."""
    rng = np.random.default_rng(0)
    grey = rng.uniform(0.2, 1, 300)
    x = np.zeros((300, 28, 28))
    for image, value, left in zip(x, grey, rng.integers(0, 12, 300), strict=True):
        image[8:20, left : left + 12] = value
    labels = pd.DataFrame({"grey": grey, "noise": rng.permutation(np.arange(300) % 2).astype(str)})
    parameters = {**DIGITS, "data": (255 * x).astype(np.uint8), "labels": labels}

    def train(column, epochs=25):
        folder = tmp_path_factory.mktemp(column)
        return latentia.train(
            "mnist_mlp_vae", **parameters, cond=column, epochs=epochs, run=folder / "r"
        )

    return train


def error(capsys, *words):
    assert main(list(map(str, words))) == 2
    return capsys.readouterr().err.strip().splitlines()[-1]


def test_a_reconstruction_with_the_own_label_is_the_plain_one(run):
    split = run.split("all")
    rows = torch.where(split.columns["label"] == 3)[0][:2].tolist()
    own, analogies = run.reconstruct(rows), run.reconstruct(rows, cond=[3, 7])
    torch.testing.assert_close(analogies[:2], own)
    assert (analogies[2:] - own).abs().amax((1, 2, 3)).min() > 0.1
    names = [split.keys[row] for row in rows]
    torch.testing.assert_close(run.reconstruct(names, cond="3,7"), analogies)
    pixels = split[:][rows]  # without labels: encoded as 3 too
    torch.testing.assert_close(run.reconstruct(pixels, cond=3), own)
    torch.testing.assert_close(run.plot_reconstructions(rows, cond=3).images[2:], own)


def test_every_table_and_picture_uses_the_own_label_of_an_image(run):
    split, model = run.split("test"), run.model
    batch = split.get_batch(slice(None))
    with use_columns(model, batch.columns):
        means = model.encode(batch.image).mean
        mse = model.score_latents(means, batch.image)["mse"]
    with use_columns(model, {"label": (batch.columns["label"] + 1) % 10}):
        false_means = model.encode(batch.image).mean
    assert (false_means - means).abs().amax(1).min() > 1e-3
    table = run.encode("test")
    np.testing.assert_allclose(table[[f"mu_{k}" for k in range(4)]], means, atol=1e-6)
    np.testing.assert_allclose(table["mse"], mse, rtol=1e-4)
    np.testing.assert_allclose(run.find_outliers(3, split="test")["mse"], mse.topk(3).values, 1e-4)
    assert run.evaluate("image")["mse"].value == pytest.approx(mse.mean().item(), rel=1e-4)
    assert run.evaluate("pca")["mse"].value == pytest.approx(mse.mean().item(), rel=1e-4)
    results = run.evaluate("elbo", "nll", k=200)
    assert results["nll_nats"].value < results["nelbo_nats"].value
    traversal = run.traverse(0, dims=1, steps=3, split="test")
    torch.testing.assert_close(traversal.reconstruction, run.reconstruct([0], split="test"))
    path = run.interpolate([0, 1], steps=4, split="test")
    torch.testing.assert_close(path[[0, -1]], run.reconstruct([0, 1], split="test"))
    nearest = run.nearest(0, 2, split="test")["distance"].min()
    near = torch.cdist(means[:1], means[1:]).min().item()
    assert nearest == pytest.approx(near, rel=1e-4)


def test_latents_are_decoded_with_labels_in_turn(run):
    z = torch.zeros(3, 4)
    one, other = (run.decode(z[:1], cond=cond) for cond in (1, 8))
    torch.testing.assert_close(run.decode(z, cond=[1, 8]), torch.cat([one, other, one]))
    traversal = run.traverse(0, dims=1, steps=2, cond=8)
    assert not torch.equal(traversal.images, run.traverse(0, dims=1, steps=2, cond=1).images)
    samples = run.sample(4, cond=[1, 8], seed=2)
    torch.testing.assert_close(samples[0], run.sample(1, cond=1, seed=2)[0])
    assert run.plot_samples(2, cond="1,8").caption.startswith("run: samples, of 1, 8, seed 0")


def test_drawn_latents_and_their_labels_are_decoded_to_the_samples(run, tmp_path):
    picture = run.plot_samples(4, seed=2)
    torch.testing.assert_close(picture.images, run.model.sample(4, seed=2))
    assert picture.table["condition"].nunique() > 1
    decoded = run.decode(picture.table, cond=picture.table["condition"].tolist())
    torch.testing.assert_close(decoded, picture.images)
    picture.table.to_csv(tmp_path / "drawn.csv", index=False)
    path = run.interpolate([f"{tmp_path / 'drawn.csv'}:{k}" for k in (0, 1)], steps=2, cond=3)
    torch.testing.assert_close(path, run.decode(picture.table.iloc[:2], cond=3))


def test_a_direction_is_measured_and_decoded_with_the_own_label_of_each_image(run):
    """Table, probe and picture: the latents are those of `encode`, the start is the image."""
    expected = run.encode("train")[[f"mu_{k}" for k in range(4)]].to_numpy()
    direction, mean = run.find_direction("brightness"), run.encode("test").iloc[:1]
    np.testing.assert_allclose(direction.centre, expected.mean(0), atol=1e-5)
    brightness = run.split("train")[:].mean((1, 2, 3)).numpy()
    probe = probe_labels(expected.astype(np.float64), brightness, False)
    assert direction.probe.score == pytest.approx(probe.score, abs=1e-3)
    assert np.corrcoef(direction.project(expected), brightness)[0, 1] > 0
    for cond in (None, 8):
        moved = run.traverse(0, toward="brightness", steps=3, split="test", cond=cond)
        start = run.reconstruct([0], split="test", cond=cond)
        torch.testing.assert_close(moved.reconstruction, start)
        z = mean[[f"mu_{k}" for k in range(4)]].to_numpy()
        z = z + (moved.values[0] - moved.image_values)[:, None] * direction.axis
        label = mean["label"].item() if cond is None else cond
        torch.testing.assert_close(moved.images[0], run.decode(z, cond=label), atol=1e-5, rtol=0)


def test_the_explorer_decodes_with_the_label_of_its_menu(run, tmp_path):
    """The label of the chosen image, another one, or by default the most frequent."""
    testclient = pytest.importorskip("starlette.testclient")
    session = RunSession.open(str(run.path), None, "all", Worker())
    session.load_latents()
    application = SecurityMiddleware(
        create_application([session], session.worker), "127.0.0.1", None
    )
    client = testclient.TestClient(application, base_url="http://127.0.0.1:8000")

    def post(path, **body):
        answer = client.post(f"/api/{path}", json=body)
        return answer.status_code, answer.json()

    prior = client.get("/api/runs").json()["runs"][0]["prior"]
    counts = run.split("train").columns["label"].bincount()
    assert prior == {
        "learned": False,
        "name": "N(0, I)",
        "advice": "",
        "condition": "class",
        "column": "label",
        "classes": [str(k) for k in range(10)],
        "typical": str(int(counts.argmax())),
    }
    split = run.split("all")
    image = {"index": 7}
    encoded, pair = post("encode", image=image)[1], post("reconstruct", image=image)[1]
    assert encoded["cond"] == split.classes["label"][split.columns["label"][7]]
    z = {"latents": [encoded["latents"]]}
    own = post("decode", **z, cond=encoded["cond"])[1]
    assert own["images"][0] == pair["images"][1]
    assert post("decode", **z)[1] == post("decode", **z, cond=prior["typical"])[1]
    other = str((int(encoded["cond"]) + 1) % 10)
    code, answer = post("decode", **z, cond=other)
    assert (code, answer["images"] == own["images"]) == (200, False)
    words = shlex.split(answer["command.png"])
    assert words[-4:-1] == ["--cond", other, "--out"]
    assert main([*words[1:-1], str(tmp_path / "decoded.npy")]) == 0
    expected = run.decode([encoded["latents"]], cond=other)
    torch.testing.assert_close(
        torch.from_numpy(np.load(tmp_path / "decoded.npy")), expected, atol=1e-6, rtol=0
    )
    code, answer = post("decode", **z, cond="x")
    assert (code, answer["detail"][:35]) == (422, "--cond is 'x'; the classes are '0',")
    samples = [post("sample", n=2, cond=cond)[1]["images"] for cond in ("1,8", "8,1")]
    assert samples[0] != samples[1]


def test_an_interrupted_run_goes_on_as_if_it_had_not_been(tmp_path):
    options = latentia.Options(log_every=2, save_every=2)
    parameters = {**DIGITS, "data": "digits:100", "epochs": 1}
    contents = []
    for name, stop in (("whole", None), ("cut", 2)):
        modifiers = {"cond": {"cond": "label"}}
        folder, events = start_run(
            "mnist_mlp_vae", parameters, modifiers=modifiers, options=options, run=tmp_path / name
        )
        for count, _ in enumerate(events, 1):
            if count == stop:
                break
        if stop:
            events.close()
            list(resume_run(folder.path)[1])
        contents.append((folder.path / "weights.safetensors").read_bytes())
    assert contents[0] == contents[1]


def test_classes_of_other_images_are_those_of_the_training_by_name(run):
    """Other images have the classes 3 and 8 only, so that their numbers are 0 and 1."""
    split = run.split("all")
    rows = torch.where((split.columns["label"] == 3) | (split.columns["label"] == 8))[0][:40]
    names = [split.classes["label"][k] for k in split.columns["label"][rows]]
    pixels = (255 * split[:][rows]).round().byte().numpy()
    other = latentia.load(run.path).with_data(pixels)
    table = other.encode(pixels, labels=np.array(names))
    expected = run.encode("all").iloc[rows.tolist()]
    np.testing.assert_allclose(table["mu_0"], expected["mu_0"], atol=1e-4)
    with pytest.raises(
        Error, match="1 image of 40 have no label, or one that no training image ha"
    ):
        other.encode(pixels, labels=np.array(["eleven", *names[1:]]))
    with pytest.raises(
        Error, match="depend on label, which is unknown here; give --cond, or image"
    ):
        other.encode(pixels)


def test_labels_of_a_file_stand_beside_the_condition(run, tmp_path):
    """--label-cols takes other columns; the networks still get theirs."""
    labels = pd.DataFrame({"key": run.split("all").keys, "size": np.arange(400.0)})
    labels.to_csv(tmp_path / "labels.csv", index=False)
    table = run.encode(labels=tmp_path / "labels.csv", label_cols=["size"])
    np.testing.assert_array_equal(table["mu_0"], run.encode()["mu_0"])
    assert {"size", "label"} <= {*table.columns}


def test_what_the_coordinates_still_say_of_the_condition(run, capsys):
    (result,) = run.evaluate("nuisance", split="test")
    low, high = result.interval
    assert low < result.value < high
    assert result.unit == "accuracy"
    assert result.beside["chance"][0] < 0.4
    plain = latentia.train("mnist_mlp_vae", **DIGITS, epochs=1, run=run.path.parent / "plain")
    text = "nuisance needs a run of --cond, and .* is none; give --metrics probe, which reads every"
    with pytest.raises(Error, match=text):
        plain.evaluate("nuisance")
    text = "plain was trained without --cond, and has no condition; omit --cond."
    with pytest.raises(Error, match=text):
        plain.reconstruct([0], cond=3)


def test_numbers_are_a_condition(numbers):
    run = numbers("grey")
    levels = np.array([0.3, 0.6, 0.9])
    images = run.sample(30, cond=levels.tolist())
    means = images.amax((1, 2, 3)).reshape(-1, 3).mean(0)
    assert means[0] < means[1] < means[2]  # the requested grey value
    (result,) = run.evaluate("nuisance", split="test")
    assert result.unit == "R²"
    assert "noise" in result.beside
    text = "--cond is '3'; grey of the training images is 0.2.* to 0.99"
    with pytest.raises(Error, match=text):
        run.sample(1, cond=3)
    with pytest.raises(Error, match="--cond is 'dark'; grey of the training images is"):
        run.sample(1, cond="dark")
    assert run.report().exists()
    assert condition_ignored(RunContext(run.folder, data=run.images)) is None
    session, grey = RunSession.open(str(run.path), None, "all", Worker()), run.model.condition
    rendering = session.decode_latents([[0.0] * 4])  # by default with the mean number
    mean = grey.distribution.mean().item()
    torch.testing.assert_close(rendering.images.images, run.decode(torch.zeros(1, 4), cond=mean))
    assert float(rendering.command[-1]) == mean
    largest = grey.distribution.max().item()
    assert float(session.format_label(torch.tensor([3.0]))) == largest  # as --cond takes it


def test_the_doctor_finds_a_condition_that_is_noise(numbers, run, monkeypatch):
    context = RunContext(run.folder)
    assert condition_ignored(context) is None
    for module in context.model.decoder.modules():  # a decoder that does not get the label
        if isinstance(module, Modulation):
            torch.nn.init.zeros_(module.film.linear.weight)
            torch.nn.init.zeros_(module.film.linear.bias)
    result = condition_ignored(context)
    assert result is not None
    assert result.values["raised"] == 0
    assert result.text == "a false label does not change the distortion."
    same = context.held_out.with_columns({"label": torch.ones(len(context.held_out)).long()})
    with monkeypatch.context() as patch:
        patch.setattr(RunContext, "held_out", same)
        assert condition_ignored(RunContext(run.folder)) is None  # no image has a false label
    noise = numbers("noise", 8)  # after 25 epochs both networks share a code of it
    result = condition_ignored(RunContext(noise.folder, data=noise.images))
    assert result is not None
    assert "a false noise raises the distortion of" in result.text
    assert result.consequence.startswith("Samples do not depend on the requested noise; the latent")


def test_an_export_takes_labels(run):
    onnxruntime = pytest.importorskip("onnxruntime")
    folder = run.export()  # compares with PyTorch
    for name in ("encoder", "decoder"):
        session = onnxruntime.InferenceSession(str(folder / f"{name}.onnx"))
        assert [each.name for each in session.get_inputs()][1] == "condition"
    code = (folder / "README.md").read_text("utf-8").partition("```python")[2].partition("```")[0]
    assert "labels = np.zeros(5, np.int64)" in code
    assert "'condition': labels" in code


def test_the_command_draws_analogies(run, tmp_path, capsys):
    out = tmp_path / "analogies.npy"
    words = ["reconstruct", str(run.path), "0", "1", "--cond", "3,7", "--out", str(out)]
    assert main(words) == 0
    torch.testing.assert_close(
        torch.from_numpy(np.load(out))[2:], run.reconstruct([0, 1], cond=[3, 7])
    )
    for command, image in (("traverse", ["0"]), ("interpolate", ["0", "1"])):
        words = [command, str(run.path), *image, "--steps", "3", "--cond", "3"]
        assert main([*words, "--out", str(tmp_path / f"{command}.npy")]) == 0
    words = ["decode", str(run.path), "--latents=0,0,0,0", "--cond", "3"]
    assert main([*words, "--out", str(tmp_path / "decoded.npy")]) == 0
    text = "The networks depend on label, which is unknown here; give --cond, or images with a colu"
    assert text in error(capsys, "decode", run.path, "--latents=0,0,0,0")
    text = "--cond names 2 labels and -n is 1; give as many at least."
    assert error(capsys, "decode", run.path, "--latents=0,0,0,0", "--cond", "1,2") == text
    text = "--cond is 'x'; the classes are '0', '1',"
    assert text in error(capsys, "reconstruct", run.path, "0", "--cond", "x")


@pytest.mark.parametrize(
    ("recipe", "words", "text"),
    [
        (
            "mnist_mlp_vae",
            ["--cond", "colour"],
            "--cond names colour; digits:100 has label: name o",
        ),
        ("mnist_mlp_vae", ["--cond", "label", "--track", "FILE"], "--track is a file without a la"),
    ],
)
def test_a_condition_that_cannot_be_is_refused(recipe, words, text, tmp_path, capsys, place):
    words = [str(place / "photos" / "00.png") if word == "FILE" else word for word in words]
    words = ["train", recipe, "--data", "digits:100", *words, "--run", tmp_path / "run"]
    assert text in error(capsys, *words)
    assert not (tmp_path / "run").exists()


def test_images_without_labels_have_no_condition(place, tmp_path, capsys):
    words = ["train", "mnist_mlp_vae", "--data", place / "toy.npy", "--cond", "label"]
    text = "toy.npy has no label columns: give --labels FILE."
    assert text in error(capsys, *words, "--run", tmp_path / "run")


def test_labels_that_are_missing_or_all_the_same_are_refused(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (40, 28, 28), dtype=np.uint8)
    cases = (
        (np.ones(40, int), "--cond: all training images have one label; name another column."),
        (
            np.where(np.arange(40) < 2, np.nan, np.linspace(0, 1, 40)),
            "--cond: 2 images of 40 have no label, or one that no training image has; leave them "
            "out with --exclude.",
        ),
    )
    for labels, text in cases:
        parameters = {**DIGITS, "data": x, "labels": labels}
        with pytest.raises(Error) as caught:
            latentia.train("mnist_mlp_vae", **parameters, cond="label", run=tmp_path / "r")
        assert str(caught.value) == text


def test_a_learned_prior_needs_networks_without_labels(run, tmp_path, capsys):
    words = ["train", "latent_prior", "--autoencoder", run.path, "--run", tmp_path / "prior"]
    text = "depend on label; give --autoencoder a run without --cond."
    assert text in error(capsys, *words, "--cond", "label")


@pytest.mark.parametrize(
    "others", [["--iwae", "3"], ["--multirate", "0.1:2"], ["--supervise", "label"]]
)
def test_a_condition_and_another_modifier(others, tmp_path):
    words = ["train", "mnist_mlp_vae", "--data", "digits:60", "--run", str(tmp_path / "run")]
    assert main([*words, "--cond", "label", *others, *TRAIN]) == 0
    run = latentia.load(tmp_path / "run")
    assert run.reconstruct([0], cond=[1, 2]).shape[0] == 2
    shutil.rmtree(tmp_path / "run")
