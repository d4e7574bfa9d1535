"""Exported files say what PyTorch says, where there is no PyTorch."""

import functools
import inspect
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from pkgutil import resolve_name

import numpy as np
import onnxruntime
import pytest
import torch

import latentia
from latentia.cli.main import main
from latentia.core.contract import HasGenerator, HasTrajectory, Model, get_autoencoder
from latentia.core.errors import Error
from latentia.core.seeding import sample_normal_rows
from latentia.data import open_images
from latentia.diffusion.sampling_options import SamplingOptions
from latentia.export import onnx
from latentia.recipes import image_autoencoder
from latentia.runs import recipes

# test_photo_vae.py exports the network of the features
SMALL = {"latent": 8, "hidden": 8, "size": 32, "width": 16, "depth": 1, "features": "none"}
SMALL |= {"factor": 4, "levels": 2}
FEW_STAGES = "speckle_vae.SpeckleEncoder", "speckle_vae.SpeckleDecoder", "speckle_ldm.VectorUNet"
SHAPE = (1, 32, 32)
ALONE = "import sys; sys.modules['torch'] = None; exec(open('program.py').read())"


@functools.cache
def model_of(name):
    """An untrained model at toy size, in evaluation mode, its BatchNorms moved from their start."""
    function = recipes.find_recipe(name)
    known = inspect.signature(function).parameters
    given = {k: v for k, v in SMALL.items() if k in known}
    if "autoencoder" in known:
        given["autoencoder"] = model_of("digits_vae")
    if name == "paired_diffusion":
        given["cond"] = "pattern"
    data = "speckle:40" if name.startswith(("speckle", "paired")) else "digits"
    with torch.random.fork_rng(), pytest.MonkeyPatch.context() as patch:
        torch.manual_seed(0)
        for place in FEW_STAGES:
            network = functools.partial(resolve_name(f"latentia.recipes.{place}"), channels=(8, 16))
            patch.setattr(f"latentia.recipes.{place}", network)
        patch.setitem(image_autoencoder.WIDTH_FACTORS, 4, (1, 2))
        model = function(data=open_images(data, size=32, channels=1), **given).model.eval()
        for key, buffer in model.named_buffers():
            if "running" in key:
                buffer.uniform_(0.5, 1.5)
    if isinstance(model, HasTrajectory):
        model.sampling = replace(model.sampling, steps=1)
        torch.nn.init.normal_(next(p for p in model.denoiser.parameters() if not p.any()), std=0.1)
    return model.requires_grad_(False)


@pytest.mark.parametrize("name", recipes.list_recipes())
def test_every_part_of_every_recipe_does_what_it_does_in_pytorch(name, tmp_path):
    model = model_of(name)
    expected = ["sampler"] if isinstance(model, HasTrajectory) else []
    expected += ["encoder", "decoder"] if get_autoencoder(model) else []
    expected += ["generator"] if isinstance(model, HasGenerator) else []
    found = onnx.split_model(model, SHAPE)
    assert [part.name for part in found] == expected
    drawn = found[0] if "sampler" in expected else found[-1]
    z = sample_normal_rows(3, model.latent_shape, seed=1, purpose="prior")
    cond = {}
    if "condition" in drawn.inputs:
        cond = {"cond": drawn.inputs["condition"](3, torch.Generator().manual_seed(0))}
    torch.testing.assert_close(drawn.module(z, *cond.values()), model.sample(3, seed=1, **cond))
    for part in [drawn] if "sampler" in expected else found:
        done = onnx.export_part(part, tmp_path / f"{part.name}.onnx")
        assert 0 <= done.difference <= 1e-4
        assert all(
            shape.startswith("n") for shape in [*done.inputs.values(), *done.outputs.values()]
        )


def test_a_sampler_draws_the_models_own_samples_from_the_same_noise(tmp_path):
    """With a condition and two steps; the parts of every recipe draw without one, too."""
    model = recipes.find_recipe("latent_prior")(
        data=open_images("digits", size=32, channels=1), autoencoder=model_of("digits_vae"),
        cond="label", clusters=0, width=16, depth=1,
    ).model.eval()  # fmt: skip
    model.sampling = replace(model.sampling, steps=2)
    model.latent_mean.uniform_(-1, 1)
    for parameter in model.denoiser.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    onnx.export_part(onnx.make_sampler_part(model), tmp_path / "sampler.onnx")
    given = {"noise": sample_normal_rows(7, model.latent_shape, seed=5, purpose="prior").numpy()}
    given["condition"] = model.resolve_condition(7, 5, None).numpy()
    assert len(set(given["condition"])) > 2
    (images,) = onnxruntime.InferenceSession(tmp_path / "sampler.onnx").run(None, given)
    np.testing.assert_allclose(images, model.sample(7, seed=5).detach(), atol=1e-4)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    options = latentia.Options(validation=0.1)
    latentia.train("mnist_mlp_vae", data="digits", hidden=8, latent=3, batch=256, epochs=1,
                   run=folder / "vae", options=options)  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "latentia.models.latent_diffusion.SamplingOptions",
            functools.partial(SamplingOptions, steps=1),
        )
        latentia.train("latent_prior", autoencoder=folder / "vae", cond="label", width=16, depth=1,
                       epochs=1, run=folder / "prior", options=options)  # fmt: skip
        assert main(["export", str(folder / "prior"), "--to", "onnx"]) == 0
    assert main(["export", str(folder / "vae"), "--out", str(folder / "files")]) == 0
    return folder


@pytest.mark.parametrize("out", ["files", "prior-onnx"])
def test_the_readmes_program_runs_where_torch_cannot_be_imported(runs, out):
    text = (runs / out / "README.md").read_text()
    assert "opset 18" in text
    (program,) = re.findall(r"```python\n(.*?)```", text, re.S)
    assert len(program.splitlines()) <= 20
    (runs / out / "program.py").write_text(
        program + "\nnp.savez('made.npz', mean=mean, new=samples)"
    )
    done = subprocess.run([sys.executable, "-c", ALONE], cwd=runs / out, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    made = np.load(runs / out / "made.npz")
    assert made["new"].shape == (5, 1, 28, 28)
    images = np.random.default_rng(0).random((5, 1, 28, 28), dtype=np.float32)
    mean = latentia.load(runs / "vae").model.encode(torch.from_numpy(images)).mean
    np.testing.assert_allclose(made["mean"], mean, atol=1e-4)
    if out == "prior-onnx":
        assert "Classes of the condition: 0, 1, 2" in text


@pytest.mark.parametrize("gap", [2e-4, float("nan")])
def test_a_file_that_differs_is_not_written_and_the_old_one_stays(gap, tmp_path, monkeypatch):
    part, path = onnx.split_model(model_of("mnist_mlp_vae"), SHAPE)[1], tmp_path / "decoder.onnx"
    path.write_bytes(b"old")
    gaps = iter((1e-9, gap))
    monkeypatch.setattr(onnx, "measure_difference", lambda *_: next(gaps))
    with pytest.raises(
        Error, match=f"decoder.onnx differs from PyTorch by {gap:.2g}, where 0.0001"
    ):
        onnx.export_part(part, path)
    assert [path.name for path in tmp_path.iterdir()] == ["decoder.onnx"]
    assert path.read_bytes() == b"old"


def test_a_difference_is_that_of_the_worst_value_in_units_of_the_largest():
    class Session:
        def run(self, _, given):
            return [given["x"] * np.float32(100.01), given["x"] + np.float32([[0, 1e-3]])]

    x = torch.tensor([[1.0, 0.5]])
    call = onnx.FunctionModule(lambda x: (100 * x, x))
    assert onnx.measure_difference(call, Session(), {"x": x}) == pytest.approx(1e-3, rel=1e-3)
    assert np.isnan(onnx.measure_difference(call, Session(), {"x": x * float("nan")}))


def test_what_cannot_be_exported_is_said(runs, capsys, monkeypatch):
    with pytest.raises(Error, match="A Model has no encoder, generator or sampler to export"):
        onnx.split_model(Model(), SHAPE)
    model = recipes.find_recipe("latent_prior")(
        data=open_images("digits", size=32, channels=1), autoencoder=model_of("digits_vae"),
        clusters=0, width=16, depth=1,
    ).model  # fmt: skip
    model.sampling = replace(model.sampling, sampler="ddpm", steps=2)
    with pytest.raises(Error, match="takes all its noise at the start, and ddpm adds more"):
        onnx.make_sampler_part(model).module(torch.zeros(1, *model.latent_shape))
    capsys.readouterr()
    assert main(["export", str(runs / "vae"), "--to", "onxn"]) == 2
    assert "no format onxn; did you mean onnx? --to is one of onnx" in capsys.readouterr().err
    (runs / "file").write_text("")
    assert main(["export", str(runs / "vae"), "--out", str(runs / "file")]) == 2
    assert "file cannot be written (Not a directory); give another" in capsys.readouterr().err
    (runs / "mine").mkdir()
    (runs / "mine/README.md").write_text("mine")
    assert main(["export", str(runs / "vae"), "--out", str(runs / "mine")]) == 2
    assert "mine has files, which are never overwritten; give a new" in capsys.readouterr().err
    assert [each.read_text() for each in (runs / "mine").iterdir()] == ["mine"]
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    assert main(["export", str(runs / "vae")]) == 2
    assert 'needs onnxscript, of the extra export: pip install "lat' in capsys.readouterr().err
    assert not Path(f"{runs / 'vae'}-onnx").exists()
