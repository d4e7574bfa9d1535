"""The condition of a VAE on a label column: who gets it, and what it must not change."""

from copy import deepcopy

import pytest
import torch
from duels import SHAPE, shake_modulations, vaegan

from latentia.core.contract import Batch, StepContext
from latentia.core.errors import Error
from latentia.losses.likelihoods import Bernoulli
from latentia.models.hvae import HVAE
from latentia.models.iwae import IWAE
from latentia.models.photo_vae import PhotoVAE
from latentia.models.vae import VAE
from latentia.nets.column_condition import ColumnCondition, use_columns, use_path
from latentia.nets.conv import ConvDecoder, ConvEncoder
from latentia.nets.film import Modulation
from latentia.nets.image_ladder import ImageLadderDecoder, ImageLadderEncoder, LadderArchitecture
from latentia.nets.label_effect import LabelEffect
from latentia.nets.ladder import LadderDecoder, LadderEncoder
from latentia.nets.mlp import MLPDecoder, MLPEncoder
from latentia.nets.principal import PrincipalDecoder, PrincipalEncoder

N, CLASSES = 6, 3
CONTEXT = StepContext(0, 10, 0, N, 0, N)


def mlp(kind=VAE):
    torch.manual_seed(0)
    return kind(MLPEncoder(SHAPE, 3, (8,)), MLPDecoder(3, SHAPE, (8,)), Bernoulli())


def conv():
    torch.manual_seed(0)
    return VAE(ConvEncoder(SHAPE, 3, (4, 4)), ConvDecoder(3, SHAPE, (4, 4)), Bernoulli())


def hvae():
    torch.manual_seed(0)
    sizes = SHAPE, (2, 2), 8
    return HVAE(LadderEncoder(*sizes), LadderDecoder(*sizes), Bernoulli())


def image_hvae():
    torch.manual_seed(0)
    sizes = LadderArchitecture(SHAPE, 2, 1, 3, 4)
    return HVAE(ImageLadderEncoder(sizes), ImageLadderDecoder(sizes, 1), Bernoulli())


def photo():
    torch.manual_seed(0)
    nets = PrincipalEncoder(SHAPE, 3, 0, 4), PrincipalDecoder(3, SHAPE, 4)
    return PhotoVAE(*nets, Bernoulli(), weight=0)


MODELS = {"mlp": mlp, "iwae": lambda: mlp(IWAE), "conv": conv, "hvae": hvae, "vaegan": vaegan}
MODELS |= {"photo": photo, "image_hvae": image_hvae}


def conditioned(model, classes=CLASSES, is_shaken=True):
    condition = ColumnCondition("label", classes)
    values = torch.arange(N) % classes if classes else torch.linspace(-1, 3, 40)
    condition.fit(values)
    model.add_condition(condition)
    if is_shaken:
        shake_modulations(model)
    return model.double()


def labelled(classes=CLASSES):
    draw = torch.Generator().manual_seed(0)
    values = torch.arange(N) % classes if classes else torch.linspace(-1, 3, N)
    return Batch(torch.rand(N, *SHAPE, generator=draw).double(), {"label": values})


def total(model, batch):
    shared = model.shared(batch, CONTEXT)
    terms = list(model.players().values())[-1].terms(batch, CONTEXT, shared)
    return sum((weight * value).sum() for weight, value, _ in terms.values())


@pytest.mark.parametrize("classes", [CLASSES, 0])
@pytest.mark.parametrize("name", MODELS)
def test_each_layer_of_encoder_and_decoder_gets_the_label(name, classes):
    model = conditioned(MODELS[name](), classes, is_shaken=False).train()
    for parameter in model.parameters():  # residual branches start at 0
        parameter.data += 0.02 * torch.randn_like(parameter)
    total(model, labelled(classes)).backward()
    for net in (model.encoder, model.decoder):
        films = [m.film.linear.weight.grad for m in net.modules() if isinstance(m, Modulation)]
        assert len(films) >= 2
        assert all(bool(each.abs().max() > 0) for each in films)


@pytest.mark.parametrize("name", MODELS)
def test_at_the_start_the_label_changes_no_bit(name):
    """The objective is then that of the model without condition: with a label as with none."""
    plain = total(MODELS[name]().double().train(), labelled())
    assert torch.equal(
        total(conditioned(MODELS[name](), is_shaken=False).train(), labelled()), plain
    )


@pytest.mark.parametrize("name", MODELS)
def test_the_order_of_classes_changes_nothing(name):
    """Other numbers of the classes, with the weights of the classes in their order."""
    model, batch, order = conditioned(MODELS[name]()).train(), labelled(), torch.tensor([2, 0, 1])
    before = total(deepcopy(model), batch)  # normalisations count what they have seen
    for module in model.modules():
        if isinstance(module, Modulation):
            weight = module.film.linear.weight
            weight.data = weight.data[:, order]
        elif isinstance(module, LabelEffect):
            module.table.data = module.table.data[order]
    numbers = order.argsort()[batch.columns["label"]]
    after = total(model, batch._replace(columns={"label": numbers}))
    torch.testing.assert_close(after, before, rtol=1e-12, atol=0)


def test_training_does_not_depend_on_the_order_of_classes():
    results = []
    for order in ([0, 1, 2], [2, 0, 1]):
        model, batch = conditioned(mlp(), is_shaken=False).train(), labelled()
        numbers = torch.tensor(order)[batch.columns["label"]]
        optimizer = torch.optim.Adam(model.parameters(), 0.01)
        for _ in range(5):
            optimizer.zero_grad()
            value = total(model, batch._replace(columns={"label": numbers}))
            value.backward()
            optimizer.step()
        results.append(value.detach())
    torch.testing.assert_close(results[1], results[0], rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", ["mlp", "conv", "hvae", "image_hvae"])
@pytest.mark.parametrize("classes", [CLASSES, 0])
def test_an_image_and_its_label_are_alone_whatever_stands_beside(name, classes):
    model, batch = conditioned(MODELS[name](), classes).eval(), labelled(classes)
    with use_columns(model, batch.columns):
        means = model.encode(batch.image).mean
        decoded = model.decode(means)
        scores = model.score_latents(means, batch.image)["distortion"]
    for k in range(N):
        image, label = batch.image[k : k + 1], batch.columns["label"][k : k + 1]
        with use_columns(model, {"label": label}):
            torch.testing.assert_close(model.encode(image).mean[0], means[k])
            torch.testing.assert_close(model.decode(means[k : k + 1])[0], decoded[k])
            torch.testing.assert_close(model.distortion(means[k : k + 1], image)[0], scores[k])
    with use_columns(model, {"label": batch.columns["label"].roll(1)}):
        assert (model.decode(means) - decoded).abs().amax((1, 2, 3)).min() > 1e-6


def test_latents_are_decoded_with_the_target_and_encoded_with_the_own_label():
    model, batch = conditioned(mlp()).eval(), labelled()
    with use_columns(model, batch.columns):
        means = model.encode(batch.image).mean
    with use_columns(model, batch.columns, torch.tensor([2])):
        assert torch.equal(model.encode(batch.image).mean, means)
        as_two = model.decode(means)
    with use_columns(model, {"label": torch.full((N,), 2)}):
        torch.testing.assert_close(model.decode(means), as_two)


def test_batches_that_fit_into_memory_give_the_same_images(monkeypatch):
    model, batch = conditioned(mlp()).eval(), labelled()
    with use_columns(model, batch.columns):
        whole = model.decode(model.encode(batch.image).mean)
        monkeypatch.setattr("latentia.models.vae.CHUNK_ROWS", 4)
        torch.testing.assert_close(model.decode(model.encode(batch.image).mean), whole)
    samples = model.sample(N, seed=3)
    monkeypatch.setattr("latentia.models.vae.max_batch_size", lambda *_: 4)
    torch.testing.assert_close(model.sample(N, seed=3), samples)


def test_a_path_leads_from_label_to_label():
    model, batch = conditioned(mlp()).eval(), labelled()
    z = torch.zeros(3, 3, dtype=torch.float64)
    with use_columns(model, batch.columns), use_path(model, 0, [0.0, 0.5, 1.0]):
        path = model.decode(z)
    for row, label in ((0, 0), (2, 1)):
        with use_columns(model, {"label": torch.tensor([label])}):
            torch.testing.assert_close(model.decode(z[:1])[0], path[row])
    assert (path[1] - path[0]).abs().max() > 1e-6
    assert (path[1] - path[2]).abs().max() > 1e-6


@pytest.mark.parametrize("classes", [CLASSES, 0])
def test_labels_are_drawn_as_often_as_in_the_training_images(classes):
    condition = ColumnCondition("label", classes)
    values = torch.tensor([0, 0, 0, 2]) if classes else torch.linspace(0, 1, 1000) ** 2
    condition.fit(values)
    draws = condition.draw(4000, 0)
    assert torch.equal(condition.draw(10, 0), draws[:10])
    if classes:
        shares = torch.bincount(draws, minlength=3) / 4000
        torch.testing.assert_close(shares, torch.tensor([0.75, 0.0, 0.25]), atol=0.03, rtol=0)
    else:
        levels = torch.tensor([0.1, 0.5, 0.9])
        expected = values.quantile(levels)
        torch.testing.assert_close(draws.quantile(levels), expected, atol=0.03, rtol=0)


@pytest.mark.parametrize("value", [-1, 1, 3])
def test_a_missing_or_unseen_class_is_an_error(value):
    condition = ColumnCondition("label", CLASSES).eval()
    condition.fit(torch.tensor([0, 0, 2]))
    text = "1 image of 2 have no label, or one that no training image has; leave them out"
    with pytest.raises(Error, match=text):
        condition.encode(torch.tensor([0, value]))


def test_without_a_label_there_is_a_sentence():
    model, batch = conditioned(mlp()).eval(), labelled()
    with pytest.raises(
        Error, match="The networks depend on label, which is unknown here; give --c"
    ):
        model.encode(batch.image)
    with pytest.raises(Error, match="There are 3 conditions for 2 images; give one, or 2"):
        model.sample(2, cond=torch.tensor([0, 1, 2]))
