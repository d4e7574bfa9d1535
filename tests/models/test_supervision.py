"""Label heads against torch.distributions, and what they may and may not move."""

import math

import numpy as np
import pytest
import torch
from duels import SHAPE, vaegan
from torch.distributions import Categorical, Normal

import latentia
from latentia.core.contract import Batch, StepContext
from latentia.core.errors import Error
from latentia.losses.likelihoods import Bernoulli
from latentia.models.supervision import Supervision
from latentia.models.vae import VAE
from latentia.nets.mlp import MLPDecoder, MLPEncoder

COLUMNS = {"body": 3, "year.made": None}


def labelled(n=8, seed=0):
    draw = torch.Generator().manual_seed(seed)
    year = 1970 + 20 * torch.rand(n, generator=draw)
    body = torch.randint(3, (n,), generator=draw)
    images = torch.rand(n, *SHAPE, generator=draw)
    return Batch(images, {"body": body, "year.made": year})


def taught(dims=2, weight=0.5):
    supervision = Supervision(COLUMNS, dims, weight).double()
    supervision.measure_labels([labelled(8, 1), labelled(5, 2)])
    with torch.no_grad():
        for parameter in supervision.parameters():
            parameter.normal_(generator=torch.Generator().manual_seed(3))
    return supervision


def test_nats_equal_torch_distributions_in_units_of_the_training_images():
    supervision, batch = taught(), labelled()
    mean = torch.randn(8, 4, generator=torch.Generator().manual_seed(4)).double()
    terms = supervision(mean, batch)
    body, year = supervision.heads
    wanted = -Categorical(logits=mean[:, :2] @ body.weight.T + body.bias).log_prob(
        batch.columns["body"]
    )
    torch.testing.assert_close(terms["label body"][1], wanted)
    years = torch.cat([labelled(8, 1).columns["year.made"], labelled(5, 2).columns["year.made"]])
    unit = (batch.columns["year.made"].double() - years.double().mean()) / years.double().std(
        correction=0
    )
    normal = Normal(mean[:, :2] @ year.slope + year.offset, year.log_sigma.exp())
    torch.testing.assert_close(
        terms["label year.made"][1], -normal.log_prob(unit), atol=1e-6, rtol=1e-6
    )
    assert {weight for weight, _, _ in terms.values()} == {0.5}


def test_heads_begin_at_ignorance_and_pull_from_the_first_step():
    """A head and a latent that both start at 0 stay there, however long they learn."""
    supervision = Supervision(COLUMNS, 2)
    batch = labelled()
    supervision.measure_labels([batch])
    mean = torch.zeros(8, 4, requires_grad=True)
    terms = supervision(mean, batch)
    for _, value, _ in terms.values():
        (pull,) = torch.autograd.grad(value.sum(), mean)
        assert pull[:, :2].abs().max() > 0
    assert terms["label body"][1].mean().item() == pytest.approx(math.log(3))
    # the mean square of a standardised column is 1
    wanted = 0.5 + 0.5 * math.log(2 * math.pi)
    assert terms["label year.made"][1].mean().item() == pytest.approx(wanted, rel=1e-5)


def test_only_the_first_dimensions_of_the_mean_are_taught():
    mean = torch.randn(8, 2, 2, 2).double().requires_grad_()
    terms = taught(3)(mean, labelled())
    sum(value.sum() for _, value, _ in terms.values()).backward()  # pyright: ignore
    assert mean.grad is not None
    moved = mean.grad.flatten(1).abs().sum(0) > 0
    assert moved.tolist() == [True] * 3 + [False] * 5


def vae():
    torch.manual_seed(0)
    return VAE(MLPEncoder(SHAPE, 3, (8,)), MLPDecoder(3, SHAPE, (8,)), Bernoulli())


@pytest.mark.parametrize("make", [vae, vaegan])
def test_heads_belong_to_the_vae_and_scores_do_not_know_of_them(make):
    model, batch, moment = make().float().train(), labelled(), StepContext(3, 10, 0, 100, 0, 8)
    before = set(model.state_dict())
    model.supervision = Supervision(COLUMNS, 2)
    assert model.setup([labelled(seed=1)]) == {}
    shared = model.shared(batch, moment)
    terms = model.players()["vae"].terms(batch, moment, shared)
    assert {"distortion", "rate", "label body", "label year.made"} <= set(terms)
    sum(weight * value.mean() for weight, value, _ in terms.values()).backward()
    own = {id(p) for p in model.players()["vae"].module.parameters()}
    for parameter in model.supervision.parameters():
        assert id(parameter) in own
        assert parameter.grad is not None
        assert parameter.grad.abs().sum() > 0
    assert any(name.startswith("supervision.") for name in set(model.state_dict()) - before)
    scored = model.eval().score(batch, moment)
    model.supervision = None
    assert all(torch.equal(v, scored[k]) for k, v in model.score(batch, moment).items())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1980.0])
def test_a_column_that_cannot_be_learned_is_named(value):
    batch = labelled()
    batch.columns["year.made"][:] = 1980.0
    batch.columns["year.made"][3] = value
    with pytest.raises(Error, match=r"--supervise year\.made cannot be learned: .* holds no value"):
        Supervision(COLUMNS, 2).measure_labels([batch])


@pytest.mark.parametrize("value", [1980.5, 1980, "old"])
def test_such_a_column_is_refused_before_there_is_a_run(value, tmp_path):
    images, labels = np.random.default_rng(0).random((40, 28, 28)), {"year": [value] * 40}
    with pytest.raises(Error, match="--supervise year cannot be learned"):
        latentia.train(
            "mnist_mlp_vae", images, labels=labels, supervise="year", run=tmp_path / "run"
        )
    assert not (tmp_path / "run").exists()


def test_images_without_labels_have_no_term_and_no_gradient():
    """The loss of a batch with missing labels, and its gradient, are those of the labelled part."""
    supervision, batch = taught(), labelled()
    rows = {"body": [0, 2, 3, 6], "year.made": [1, 2, 7]}
    gaps = {
        name: torch.where(torch.isin(torch.arange(8), torch.tensor(rows[name])), values, missing)
        for (name, values), missing in zip(batch.columns.items(), (-1, math.nan), strict=True)
    }
    mean = torch.randn(8, 4, generator=torch.Generator().manual_seed(4)).double()
    found, wanted = mean.clone().requires_grad_(), mean.clone().requires_grad_()
    terms = supervision(found, Batch(batch.image, gaps))
    for name, part in rows.items():
        columns = {key: values[part] for key, values in batch.columns.items()}
        term = supervision(wanted[part], Batch(batch.image[part], columns))[f"label {name}"]
        torch.testing.assert_close(terms[f"label {name}"].value.mean(), term.value.mean())
        terms[f"label {name}"].value.mean().backward(retain_graph=True)
        term.value.mean().backward()
        torch.testing.assert_close(found.grad, wanted.grad)
    assert torch.isfinite(found.grad).all()
    nothing = {"body": torch.full((8,), -1), "year.made": torch.full((8,), math.nan)}
    for term in supervision(found, Batch(batch.image, nothing)).values():
        assert term.value.tolist() == [0.0] * 8


def test_the_scale_of_numbers_is_that_of_the_labelled_images():
    batch = labelled()
    gaps = batch.columns["year.made"].clone()
    gaps[3:] = math.nan
    supervision = Supervision({"year.made": None}, 2)
    supervision.measure_labels([Batch(batch.image, {"year.made": gaps})])
    (head,) = supervision.heads
    torch.testing.assert_close(head.centre, gaps[:3].mean())
    torch.testing.assert_close(head.scale, gaps[:3].std(correction=0))
