"""A learned prior on the command line: how it is trained, asked and moved, and every error text."""

import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import latentia
from latentia.cli.main import main
from latentia.core.errors import Error
from latentia.report.grids import FOLDER, encode_files, make_grid, save
from latentia.runs.folder import RunFolder
from latentia.runs.priors import find_learned_prior

SMALL = ["--batch", "8", "--log-every", "2", "--epochs", "1"]
NET = ["--width", "16", "--depth", "1"]
# of pixels in [0, 1]: rows of one batch are the same to some roundings of float32 (6e-8 each);
# what is drawn otherwise differs by at least 5e-3 once the networks are perturbed
SAME, OTHER = 1e-6, 3e-5


def perturb(run):
    """Add N(0, 1 / fan-in) to every matrix: a layer that starts at 0 hardly moves in few steps."""
    weights, draw = load_file(run / "weights.safetensors"), torch.Generator().manual_seed(0)
    for weight in weights.values():
        if weight.ndim > 1:
            noise = torch.randn(weight.shape, generator=draw)
            weight += noise * weight[0].numel() ** -0.5
    save_file(weights, run / "weights.safetensors")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Two classes of images, a VAE of them, a prior by label; speckle with its own."""
    folder = tmp_path_factory.mktemp("priors")
    draw = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (folder / "photos" / name).mkdir(parents=True)
        for k in range(20):
            pixels = draw.integers(0, 256, (16, 16), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "photos" / name / f"{k:02}.png")

    def train(recipe, run, *words):
        assert main(["train", recipe, "--run", str(folder / run), *SMALL, *words]) == 0
        perturb(folder / run)

    train("conv_vae", "vae", "--data", str(folder / "photos"), "--latent", "4")
    parent = ["--autoencoder", str(folder / "vae"), *NET]
    train("latent_prior", "free", *parent)
    train("latent_prior", "prior", *parent, "--cond", "label")
    train("conv_vae", "speckle_vae", "--data", "speckle:40", "--latent", "8", "--size", "32")
    train("speckle_ldm", "ldm", "--autoencoder", str(folder / "speckle_vae"), "--denoiser", "mlp")
    draw = np.random.default_rng(1).integers(0, 256, (40, 30), dtype=np.uint8)
    Image.fromarray(draw).save(folder / "pattern.png")
    return folder


def draw_samples(place, tmp_path, run, *words):
    out = tmp_path / "s.npy"
    assert main(["sample", str(place / run), "-n", "6", "--out", str(out), *words]) == 0
    return np.load(out)


def error(capsys, *words):
    capsys.readouterr()
    assert main([str(w) for w in words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1, err
    return err.strip()


def test_every_way_of_drawing_changes_the_picture(place, tmp_path):
    ways = [
        (),
        ("--seed", "1"),
        ("--steps", "3"),
        ("--sampler", "ddpm"),
        ("--cond", "dog"),
        ("--cond", "cat"),
        ("--cond", "cat", "--guidance", "4"),
    ]
    pictures = [draw_samples(place, tmp_path, "prior", *way) for way in ways]
    for k, picture in enumerate(pictures):
        assert picture.shape == (6, 1, 16, 16)
        assert all(np.abs(picture - other).max() > OTHER for other in pictures[:k]), ways[k]


def test_classes_are_named_or_numbered_and_take_turns(place, tmp_path):
    cat, dog, both = (
        draw_samples(place, tmp_path, "prior", "--cond", c) for c in ("0", "dog", "cat,1")
    )
    np.testing.assert_allclose(both[::2], cat[::2], rtol=0, atol=SAME)
    np.testing.assert_allclose(both[1::2], dog[1::2], rtol=0, atol=SAME)


def test_samples_are_written_as_data_with_their_classes(place, tmp_path, capsys):
    """latentia reads the folder and the archive with the classes that were requested."""
    words = ["-n", "5", "--cond", "dog,0"]
    pixels = draw_samples(place, tmp_path, "prior", *words)
    for out in ("folder/", "arrays.npz"):
        path = f"{tmp_path}/new/{out}"
        capsys.readouterr()
        assert main(["sample", str(place / "prior"), *words, "--out", path]) == 0
        assert capsys.readouterr().out == path.rstrip("/") + "\n"
        split = latentia.open_images(path).split("all")
        names = split.classes["label"]
        assert [names[k] for k in split.columns["label"]] == ["dog", "cat", "dog", "cat", "dog"]
        np.testing.assert_allclose(split[:], pixels[:5], atol=0.51 / 255)
    files = sorted(file.name for file in (tmp_path / "new" / "folder").iterdir())
    assert files == [*(f"{k:04}.png" for k in range(5)), "metadata.csv"]
    with Image.open(tmp_path / "new" / "folder" / "0001.png") as picture:
        assert picture.size == (16, 16)
        assert picture.text["Description"].startswith("prior: samples, of dog, cat, seed 0,")  # pyright: ignore
    assert main(["sample", str(place / "free"), "-n", "3", "--out", str(tmp_path / "f/")]) == 2
    assert (
        "f ends in nothing; give a .png or a .npy or a .npz file, or a f" in capsys.readouterr().err
    )
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / ".DS_Store").touch()
    assert main(["sample", str(place / "free"), "-n", "3", "--out", str(tmp_path / "f")]) == 0
    assert len(list((tmp_path / "f").glob("*.*"))) == 4
    assert main(["sample", str(place / "free"), "-n", "2", "--out", str(tmp_path / "f.npz")]) == 0
    assert list(np.load(tmp_path / "f.npz")) == ["x"]


def test_samples_of_an_autoencoder_name_the_prior_that_was_learned_of_it(place, tmp_path, capsys):
    note = f"`latentia sample {place / 'prior'}` draws from the prior that was learned of these"
    for run, is_named in (("vae", True), ("prior", False), ("speckle_vae", False)):
        words = ["sample", str(place / run), "-n", "2", "--out", str(tmp_path / "s.png")]
        assert main(words) == 0
        assert (f"{note} latents.\n" in capsys.readouterr().err) == is_named


def test_a_prior_is_found_by_headers_and_its_state_is_not_read_whole(place, monkeypatch):
    summed = []

    def record(path):
        summed.append(path.name)
        return True

    monkeypatch.setattr("latentia.training.checkpoint.is_intact", record)
    prior = find_learned_prior(RunFolder.open(place / "vae"))
    assert prior is not None
    assert prior.path == place / "prior"
    assert {*summed} == {"run.json"}


@pytest.mark.parametrize("file", ["run.json", "state.safetensors", "weights.safetensors"])
@pytest.mark.parametrize("is_cut", [True, False])
def test_a_damaged_prior_beside_a_run_is_no_obstacle(place, tmp_path, capsys, file, is_cut):
    shutil.copytree(place / "vae", tmp_path / "vae")
    shutil.copytree(place / "prior", tmp_path / "prior")
    path = tmp_path / "prior" / file
    content = path.read_bytes()
    path.write_bytes(content[:-100] if is_cut else b"\0" + content[1:])
    words = ["sample", str(tmp_path / "vae"), "-n", "2", "--out", str(tmp_path / "s.png")]
    assert main(words) == 0
    assert "draws from the prior" not in capsys.readouterr().err
    path.unlink()
    assert main(words) == 0
    is_named = "draws from the prior" in capsys.readouterr().err
    assert is_named == (file == "state.safetensors")  # which samples do not need


def test_no_file_of_a_folder_is_overwritten(place, tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "0000.png").write_text("of the user")
    for path in (tmp_path / "mine", f"{tmp_path}/mine/"):
        message = f"--out {path} has files, which are never overwritten; give a new folder."
        assert error(capsys, "sample", place / "free", "--out", path) == message
        with pytest.raises(Error, match="has files, which are never overwritten"):
            latentia.load(place / "free").plot_samples(2).save(path)
    assert [file.read_text() for file in (tmp_path / "mine").iterdir()] == ["of the user"]
    (tmp_path / "file").touch()
    assert "cannot be written" in error(
        capsys, "sample", place / "free", "-n", "1", "--out", f"{tmp_path}/file/"
    )


def test_a_sheet_names_the_class_of_each_sample(place, tmp_path, monkeypatch):
    options = {}
    monkeypatch.setattr(
        "latentia.report.rendered_images.make_grid",
        lambda *a, **k: options.update(k) or make_grid(*a, **k),
    )
    draw = ["sample", str(place / "prior"), "-n", "3", "--out", str(tmp_path / "s.png"), "--cond"]
    assert main([*draw, "1,cat"]) == 0
    assert options["labels_below"] == ["dog", "cat", "dog"]
    with Image.open(tmp_path / "s.png") as picture:
        assert ": samples, of dog, cat, seed 0," in picture.text["Description"]  # pyright: ignore
    assert main(["sample", str(place / "free"), "-n", "3", "--out", str(tmp_path / "s.png")]) == 0
    assert options["labels_below"] == []


@pytest.mark.parametrize("channels", [2, 4])
def test_images_that_png_cannot_hold_are_not_written_as_others(channels, tmp_path):
    images = torch.rand(2, channels, 8, 8)
    encoders = {FOLDER: lambda: encode_files(images, "", "", [])}
    with pytest.raises(Error, match=f"PNG holds no image of {channels} channels; give --out a"):
        save(f"{tmp_path}/new/", encoders)
    assert not (tmp_path / "new").exists()


@pytest.mark.report
def test_a_group_of_latents_is_a_condition_by_number(place, tmp_path, capsys):
    folder = tmp_path / "more"
    for k in range(60):
        kind = folder / ("dark" if k % 2 else "light")
        kind.mkdir(parents=True, exist_ok=True)
        pixels = np.full((16, 16), 20 + 200 * (k % 2) + k % 7, np.uint8)
        Image.fromarray(pixels).save(kind / f"{k:02}.png")
    parent = ["--data", str(folder), "--autoencoder", str(place / "vae")]
    run = str(tmp_path / "prior")
    assert main(["train", "latent_prior", "--run", run, *parent, *SMALL, *NET]) == 0
    perturb(tmp_path / "prior")
    note = "2 groups of latents as its condition, not 64: a group has at least 20 images."
    assert note in capsys.readouterr().err
    first, second, both = (
        draw_samples(tmp_path, tmp_path, "prior", "--cond", c) for c in ("0", "1", "1,0")
    )
    np.testing.assert_allclose(both[::2], second[::2], rtol=0, atol=SAME)
    np.testing.assert_allclose(both[1::2], first[1::2], rtol=0, atol=SAME)
    assert np.abs(first - second).max() > OTHER
    assert error(capsys, "sample", run, "--cond", "2") == "--cond is '2'; the classes are '0', '1'."
    assert main(["sample", run, "--cond", "1", "-n", "2", "--out", str(tmp_path / "g.png")]) == 0
    with Image.open(tmp_path / "g.png") as picture:
        assert ": samples, of group 1, seed 0," in picture.text["Description"]  # pyright: ignore
    assert (
        "Samples conditioned on group of latents"
        in (tmp_path / "prior" / "report.html").read_text()
    )


def test_an_image_is_a_condition_by_file_or_by_index(place, tmp_path):
    by_file = draw_samples(place, tmp_path, "ldm", "--cond", str(place / "pattern.png"))
    by_index = draw_samples(place, tmp_path, "ldm", "--cond", "1")
    free = draw_samples(place, tmp_path, "ldm")
    assert by_file.shape == by_index.shape == free.shape == (6, 1, 32, 32)
    assert np.abs(by_file - by_index).max() > OTHER
    assert np.abs(free - by_index).max() > OTHER


def test_the_image_that_is_a_condition_may_be_elsewhere(place, tmp_path, capsys):
    by_index = draw_samples(place, tmp_path, "ldm", "--cond", "1")
    elsewhere = draw_samples(place, tmp_path, "ldm", "--cond", "1", "--data", "speckle:40")
    assert np.array_equal(by_index, elsewhere)
    others = draw_samples(place, tmp_path, "ldm", "--cond", "1", "--data", "speckle:30")
    assert np.abs(others - by_index).max() > OTHER
    photos, run = place / "photos", place / "ldm"
    assert error(capsys, "sample", run, "--cond", "1", "--data", photos) == (
        f"{photos} holds no pattern, which {run} needs; give the file."
    )


def test_the_caption_says_how_it_was_drawn(place, tmp_path):
    words = ["--cond", "dog", "--steps", "3", "--guidance", "2", "--out", str(tmp_path / "s.png")]
    assert main(["sample", str(place / "prior"), "-n", "4", *words]) == 0
    with Image.open(tmp_path / "s.png") as picture:
        caption = picture.text["Description"]  # pyright: ignore
    assert caption == ("prior: samples, of dog, seed 0, learned prior, heun, 3 steps, guidance 2")


def test_a_prior_lives_without_its_autoencoder_and_shows_its_latents(place, tmp_path, capsys):
    before = draw_samples(place, tmp_path, "prior")
    shutil.copytree(place / "prior", tmp_path / "copy")
    aside = (place / "vae").rename(place / "aside")
    try:
        np.testing.assert_array_equal(draw_samples(tmp_path, tmp_path, "copy"), before)
        # its latents are the autoencoder's: what works on one works on the other
        assert main(["evaluate", str(tmp_path / "copy"), "--json"]) == 0
        own = capsys.readouterr().out.split("s.npy\n")[-1]
    finally:
        aside.rename(place / "vae")
    assert main(["evaluate", str(place / "vae"), "--json"]) == 0
    assert "of its autoencoder" in own
    alone = own.replace("; of its autoencoder", "").replace("of its autoencoder", "")
    assert capsys.readouterr().out == alone


def test_a_prior_over_a_prior_is_one_over_its_autoencoder(place, tmp_path):
    words = ["--run", str(tmp_path / "again"), "--autoencoder", str(place / "prior"), *SMALL, *NET]
    assert main(["train", "latent_prior", *words]) == 0
    assert draw_samples(tmp_path, tmp_path, "again").shape == (6, 1, 16, 16)


def test_a_pattern_prior_without_a_pattern_says_so(place, tmp_path):
    out = tmp_path / "s.png"
    assert main(["sample", str(place / "ldm"), "-n", "2", "--out", str(out)]) == 0
    with Image.open(out) as picture:
        assert picture.text["Description"].endswith("16 steps, without a condition")  # pyright: ignore


def test_the_report_shows_the_way_from_noise_and_what_was_asked(place):
    for run, title in (
        ("prior", "Samples conditioned on label"),
        ("ldm", "Samples conditioned on pattern"),
    ):
        assert main(["report", str(place / run)]) == 0
        page = (place / run / "report.html").read_text()
        for words in (title, "From noise to image", "Denoising error over time"):
            assert words in page
    assert main(["report", str(place / "free")]) == 0
    assert "Samples conditioned on" not in (place / "free" / "report.html").read_text()


def test_mistakes(place, tmp_path, capsys):
    prior, free, vae, ldm = (place / run for run in ("prior", "free", "vae", "ldm"))
    new = ["--run", tmp_path / "new"]
    assert error(capsys, "train", "latent_prior", *new) == (
        "latent_prior learns the latents of a run: give its folder with --autoencoder, for "
        "instance one of `latentia train digits_vae`."
    )
    assert error(capsys, "train", "latent_prior", "--autoencoder", tmp_path, *new) == (
        f"{tmp_path} is not a run: it has no readable run.json; "
        "give a folder of `latentia fit` or `train`."
    )
    words = ["train", "latent_prior", "--autoencoder", vae, "--cond", "colour", *new]
    assert error(capsys, *words) == (
        f"{place / 'photos'} has no column colour with classes; those with classes are label."
    )
    over = ("train", "latent_prior", "--autoencoder", vae, *new)
    assert error(capsys, *over, "--guidance", "2") == (
        "--guidance 2 needs a condition; give --cond or --clusters."
    )
    assert error(capsys, *over, "--validation", "0.2") == (
        f"--validation has no effect: images are read as those of {vae}; omit it."
    )
    with pytest.raises(Error, match="The autoencoder is a Linear of no run; give a run's folder"):
        latentia.train("latent_prior", autoencoder=torch.nn.Linear(1, 1), run=tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert error(capsys, "sample", vae, "--steps", "3") == (
        f"{vae} draws from N(0, I), which has no --steps; leave it out, or learn a prior: latentia "
        "train latent_prior --autoencoder RUN."
    )
    assert error(capsys, "sample", prior, "--steps", "0") == "--steps is 0; it must be at least 1."
    assert error(capsys, "sample", prior, "--sampler", "magic") == (
        "--sampler is 'magic'; it must be one of ddpm, ddim, euler, heun. "
        "--plugin FILE or an installed package adds one of your own."
    )
    assert error(capsys, "sample", free, "--cond", "cat") == (
        f"{free} was trained without --cond, and has no condition; omit --cond."
    )
    assert error(capsys, "sample", prior, "--cond", "cow") == (
        "--cond is 'cow'; the classes are 'cat', 'dog'."
    )
    assert error(capsys, "sample", prior, "--cond", "cat,dog,cat", "-n", "2") == (
        "--cond names 3 labels and -n is 2; give as many at least."
    )
    assert error(capsys, "train", "speckle_ldm", "--autoencoder", vae, *new) == (
        f"{place / 'photos'} has no pattern beside its images; give a source of pairs, such as "
        "pairs:INPUT:TARGET, speckle, or a folder of speckle/ and patterns/."
    )
    assert error(capsys, "sample", ldm, "--cond", "nothing.png") == (
        "There is no file nothing.png; --cond is a file, or the number of a test image."
    )
    assert error(capsys, "sample", ldm, "--cond", "99") == (
        "There is no image 99 in split test; it has images 0 to 3."
    )
    assert not (tmp_path / "new").exists()
