"""A GAN of --cond: both networks get the label, and samples show the requested class."""

import numpy as np
import pytest
import torch
from duels import SHAPE, batch, check_step, dcgan, modern, moment, shake_modulations

import latentia
from latentia.api.training import resume_run
from latentia.core.contract import Batch
from latentia.nets.column_condition import ColumnCondition
from latentia.nets.film import Modulation, modulate_layers
from mistakes import error
from training.test_resume import content

N, CLASSES = 6, 3
LABELS = torch.arange(N) % CLASSES


def conditioned(make=modern, is_shaken=True):
    model = make()
    model.condition = ColumnCondition("label", CLASSES)
    model.condition.fit(LABELS)
    for net in (model.generator, model.critic):
        modulate_layers(net, model.condition)
    if is_shaken:
        shake_modulations(model)
    return model


def values(model, images):
    shared = model.shared(images, moment())
    parts = [player.terms(images, moment(), shared) for player in model.players().values()]
    return torch.cat([value for terms in parts for _, value, _ in terms.values()])


def labelled(labels=LABELS):
    return Batch(batch().image, {"label": labels})


@pytest.mark.parametrize("make", [modern, dcgan])
def test_at_the_start_the_label_changes_no_bit(make):
    plain, model = make().double().eval(), conditioned(make, is_shaken=False).double().eval()
    assert torch.equal(values(model, labelled()), values(plain, labelled()))


def test_the_order_of_classes_changes_nothing():
    model, order = conditioned().double().train(), torch.tensor([2, 0, 1])
    before = values(model, labelled())
    for module in model.modules():
        if isinstance(module, Modulation):
            weight = module.film.linear.weight
            weight.data = weight.data[:, order]
    after = values(model, labelled(order.argsort()[LABELS]))
    torch.testing.assert_close(after, before, rtol=1e-12, atol=1e-14)
    assert not torch.allclose(values(model, labelled()), before)


@pytest.mark.parametrize("make", [modern, dcgan])
def test_each_player_changes_only_its_own_weights_by_its_own_terms(make):
    model = conditioned(make).double().train()
    owned = [{id(p) for p in player.module.parameters()} for player in model.players().values()]
    assert not owned[0] & owned[1]
    assert owned[0] | owned[1] == {id(p) for p in model.parameters()}
    check_step(model, labelled(), moment(1))


def test_samples_and_decoded_latents_have_the_requested_label():
    model = conditioned().eval()
    images = {k: model.sample(5, seed=2, cond=torch.tensor([k])) for k in range(CLASSES)}
    assert (images[0] - images[1]).abs().amax((1, 2, 3)).min() > 1e-3
    mixed = model.sample(5, seed=2, cond=torch.tensor([0, 1, 2, 0, 1]))
    for row, k in enumerate([0, 1, 2, 0, 1]):
        torch.testing.assert_close(mixed[row], images[k][row], rtol=0, atol=1e-5)
    default = model.sample(5, seed=2)
    expected = model.sample(5, seed=2, cond=model.condition.draw(5, 2))
    assert torch.equal(default, expected)
    with pytest.raises(latentia.Error, match="depend on label, which is unknown here; give --cond"):
        model.decode(torch.zeros(1, 5))


def train_by_grey(labels):
    """A short training on images that are dark or bright; the difference of both requests."""
    torch.manual_seed(0)
    model = conditioned(is_shaken=False).train()
    grey = torch.arange(48) % 2
    draw = torch.Generator().manual_seed(0)
    images = 0.2 + 0.6 * grey[:, None, None, None] + 0.05 * torch.rand(48, *SHAPE, generator=draw)
    adam = {
        k: torch.optim.Adam(player.module.parameters(), 2e-3, betas=(0.0, 0.99))
        for k, player in model.players().items()
    }
    for step in range(60):
        part, when = Batch(images, {"label": labels}), moment(step, 60, 48)
        shared = model.shared(part, when)
        for k, player in model.players().items():
            model.zero_grad()
            terms = player.terms(part, when, shared)
            sum(w * value.mean() for w, value, _ in terms.values()).backward()
            adam[k].step()
    model.eval()
    means = [model.sample(40, cond=torch.tensor([k])).mean() for k in (0, 1)]
    return (means[1] - means[0]).item()


def test_a_label_that_says_something_is_used_and_one_of_noise_is_not():
    signal, noise = (train_by_grey(torch.arange(48) // k % 2) for k in (1, 2))
    assert signal > 0.4  # of 0.6 in the images
    assert abs(noise) < 0.2


EDIT = {"cond": {"cond": "label"}}


@pytest.fixture
def train(trained):
    def make(name, stop=None):
        knobs = {"data": "digits:80", "batch": 16, "epochs": 2, "latent": 3}
        options = latentia.Options(log_every=2, save_every=2)
        return trained(name, "mnist_gan", knobs, stop, modifiers=EDIT, options=options)

    return make


def test_an_interrupted_run_goes_on_with_the_same_bits(train):
    whole, cut = train("whole"), train("cut", 4)
    assert content(cut) != content(whole)
    list(resume_run(cut.path)[1])
    assert content(cut) == content(whole)


def test_the_commands_take_the_label(train, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = latentia.load(train("run").path)
    plain = latentia.train("mnist_gan", "digits:80", epochs=1, latent=3, run=tmp_path / "plain")
    counts = [sum(p.numel() for p in each.model.parameters()) for each in (run, plain)]
    outputs = [m.film.linear.out_features for m in run.model.modules() if isinstance(m, Modulation)]
    assert counts[0] - counts[1] == 11 * sum(outputs)  # ten classes and an offset
    picture = run.plot_samples(4, seed=1, cond="7,3")
    assert "samples, of 7, 3, seed 1" in picture.caption
    assert picture.table["condition"].tolist() == ["7", "3", "7", "3"]
    decoded = run.decode(picture.table, cond=["7", "3", "7", "3"])
    torch.testing.assert_close(decoded, picture.images)
    own = run.project([0], steps=5)
    label = int(run.split("all").columns["label"][0])
    assert own.equals(run.project([0], steps=5, cond=label))
    assert not np.allclose(own["mse"], run.project([0], steps=5, cond=(label + 1) % 10)["mse"])
    assert {finding.kind for finding in run.diagnose().findings} >= {"few steps"}
    text = error(capsys, "sample", run.path, "--cond", "x", "--out", "x.png")
    assert "--cond is 'x'; the classes are '0', '1'" in text
    onnx = run.export("onnx")
    assert (onnx / "generator.onnx").exists()


def test_a_column_of_numbers_is_refused(tmp_path, capsys):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (40, 28, 28), dtype=np.uint8)
    np.savez(tmp_path / "x.npz", x=x, y=rng.normal(size=40))
    words = ["train", "mnist_gan", "--data", tmp_path / "x.npz", "--cond", "label"]
    text = error(capsys, *words, "--run", tmp_path / "run")
    assert "--cond of a GAN needs a column of classes, and " in text
