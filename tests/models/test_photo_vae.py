"""The VAE of photographs: a closed form that training never makes worse."""

import numpy as np
import pytest
import torch

import latentia
from latentia.core.errors import Error
from latentia.core.modes import evaluation_mode
from latentia.models import photo_vae, pretrained_features
from latentia.models.augmentation import shift_images
from latentia.models.image_sample import ImageSample
from latentia.models.pretrained_features import load_network
from latentia.nets.principal import PrincipalDecoder, extend_logit
from latentia.training.checkpoint import read_tensors
from latentia.training.log import read_rows

SMALL = {"latent": 4, "width": 4, "batch": 16, "epochs": 2}
FILES = "weights.safetensors", "state.safetensors"
OPTIONS = latentia.Options(log_every=1, validation=0.2, threads=1)


@pytest.fixture
def photos():
    """60 smooth colour images, mixtures of six patterns with some noise."""
    rng = np.random.default_rng(0)
    patterns = torch.from_numpy(rng.normal(size=(6, 3, 4, 4))).float()
    patterns = torch.nn.functional.interpolate(patterns, (12, 20), mode="bicubic")
    weights = rng.normal(size=(60, 6)) * [0.2, 0.2, 0.1, 0.1, 0.05, 0.05]
    images = 0.5 + np.einsum("np,pchw->nchw", weights, patterns.numpy())
    return (images + 0.02 * rng.normal(size=images.shape)).clip(0, 1).astype(np.float32)


@pytest.fixture
def train(tmp_path, photos):
    def make(name="run", **parameters):
        parameters = {"data": photos, **SMALL, **parameters}
        options = parameters.pop("options", OPTIONS)
        return latentia.train("photo_vae", run=tmp_path / name, options=options, **parameters)

    return make


def read_validations(run):
    return [row for row in read_rows(run.path / "log.jsonl") if row["event"] == "validated"]


@pytest.mark.parametrize("features", ["efficientnet", "none"])
def test_the_first_validation_is_that_of_the_closed_form(train, photos, features):
    run = train(features=features, lr=1e-9, epochs=1)
    first, last = read_validations(run)
    assert first["epoch"] == 0
    assert first["values"]["mse_draws"] == pytest.approx(last["values"]["mse_draws"], rel=1e-4)
    assert first["is_best"]
    model, images = run.model, run.images.split("validation").get_batch(slice(None)).image
    with torch.no_grad():
        z = model.encode(images).mean
        linear = model.decoder.decode_linearly(z)
        inside = (linear > 0.01) & (linear < 0.99)
        torch.testing.assert_close(model.decode(z)[inside], linear[inside], atol=2e-3, rtol=0)
    assert inside.float().mean() > 0.8


@pytest.mark.parametrize("likelihood", ["gaussian", "discretized", "bernoulli"])
def test_training_never_ends_worse_than_the_closed_form(train, photos, likelihood):
    pixels = (photos * 255).astype(np.uint8)
    run = train(data=pixels, features="none", lr=1.0, likelihood=likelihood)
    first, *others = read_validations(run)
    assert first["is_best"]
    assert all(row["values"]["nelbo"] > first["values"]["nelbo"] for row in others)
    assert "training did not help" in [finding.kind for finding in run.diagnose().findings]
    weights = read_tensors(run.path / "weights.safetensors")[0]
    assert weights["decoder.to_image.weight"].abs().max() == 0


@pytest.mark.parametrize("features", ["efficientnet", "none"])
def test_images_without_a_difference_have_no_closed_form(train, photos, features, tmp_path):
    options = latentia.Options(validation=0.0)
    for data, text in ((photos[:1], "1 training image"), (photos[[0] * 5], "training images")):
        with pytest.raises(Error, match=f"{text} no two differ, so there are no coordinates to"):
            train(text, data=data, features=features, options=options)
    assert not (tmp_path / text).exists()  # refused before there is a run


def test_training_improves_encoder_and_decoder(train):
    y, x = np.mgrid[:16, :16]
    centres = np.random.default_rng(0).uniform(4, 12, (300, 2))
    disks = [np.hypot(y - a, x - b) < 4 for a, b in centres]
    pixels = np.where(disks, 200, 40).astype(np.uint8)
    short, long = (
        train(name, data=pixels, likelihood="gaussian", epochs=n)
        for name, n in (("a", 1), ("b", 16))
    )
    first, *_, last = read_validations(long)
    assert last["values"]["mse_draws"] < 0.95 * first["values"]["mse_draws"]
    assert last["values"]["joint"] < first["values"]["joint"] - 10
    images = long.images.split("all").get_batch(slice(None)).image
    a, b = (encode_by_closed_form(run.model, images) for run in (short, long))
    assert torch.equal(a, b)
    trained = long.model.encode(images).mean
    assert 0.02 < (trained - b).abs().mean() < 2  # a dimension has variance 1
    decoded = [long.model.decode(z).sub(images).square().mean() for z in (trained, b)]
    assert decoded[0] < decoded[1]


def encode_by_closed_form(model, images):
    encoder, features = model.encoder, model.read_features(images)
    return images.sub(encoder.pixel_mean.view(images.shape[1:])).flatten(1) @ encoder.pixel_axes + (
        features @ encoder.feature_axes
    )


def test_the_features_term_is_the_expected_density_of_the_linear_model(train):
    """Beside draws from the posterior; features are near the means, so that variances count."""
    model = train(weight=300.0, epochs=1).model.double()
    encoder = model.encoder
    axes = encoder.feature_axes.T * (-encoder.logvar).exp()[:, None]
    mean = torch.randn(5, 4).double()
    features = mean @ axes + 0.1 * torch.randn(5, 64).double()
    draws = mean + (0.5 * encoder.logvar).exp() * torch.randn(40_000, 1, 4).double()
    nll = -torch.distributions.Normal(draws @ axes, 1.0).log_prob(features).sum(2)
    error = 5 * nll.std(0) / 200
    assert ((encoder.measure_features(mean, features) - nll.mean(0)).abs() < error).all()


def test_validation_scores_pixels_and_features_together(train):
    run = train(weight=300.0, epochs=1)
    model, split = run.model, run.images.split("validation")
    batch, context = split.get_with_context(0, len(split), 0)
    scores = model.score(batch, context)
    posterior, features = model.encode(batch.image), model.read_features(batch.image)
    expected = model.encoder.measure_features(posterior.mean, features)
    torch.testing.assert_close(scores["joint"] - scores["nelbo"], expected)
    best = min(row["values"]["joint"] for row in read_validations(run))
    assert best == pytest.approx(scores["joint"].mean().item(), rel=1e-4)
    assert model.selection_metric == "joint"


def test_a_run_carries_its_network(train, monkeypatch, photos, tmp_path):
    run = train(epochs=1)
    images = torch.from_numpy(photos[:3])
    expected = run.model.encode(images).mean
    monkeypatch.setattr(pretrained_features, "PACKAGE", "no_such_package")
    monkeypatch.setenv("LATENTIA_CACHE", str(tmp_path / "empty"))
    load_network.cache_clear()
    opened = latentia.load(run.path)
    torch.testing.assert_close(opened.model.encode(images).mean, expected, rtol=1e-3, atol=1e-3)
    with pytest.raises(Error, match=r"needs the weights .* pip install 'latentia\[photos\]'"):
        train("other")
    assert not (tmp_path / "other").exists()
    assert train("other", features="none", epochs=1).is_complete
    load_network.cache_clear()


def test_a_state_holds_the_network_once(train):
    run = train(epochs=1)
    weights, state = ((run.path / name).stat().st_size for name in FILES)
    assert weights < state < 1.1 * weights


def test_an_external_network_is_left_out_and_named(train, monkeypatch, photos):
    own, external = train("own"), train("external", external_features=True)
    images = torch.from_numpy(photos[:3])
    a, b = own.model.encode(images), external.model.encode(images)
    assert torch.equal(a.mean, b.mean)
    assert torch.equal(own.model.decode(a.mean), external.model.decode(b.mean))
    sizes = [(run.path / FILES[0]).stat().st_size for run in (own, external)]
    assert sizes[0] - sizes[1] > 4 * 3_300_000
    assert pretrained_features.DIGEST in external.metadata["notes"][0]
    assert not own.metadata["notes"] or "network" not in own.metadata["notes"][0]
    files = external.export(out=external.path.with_name("onnx"))
    assert (files / "encoder.onnx").stat().st_size > 4 * 3_300_000
    monkeypatch.setattr(pretrained_features, "PACKAGE", "no_such_package")
    load_network.cache_clear()
    assert latentia.load(own.path).model
    with pytest.raises(Error, match=f"SHA-256 {pretrained_features.DIGEST}.*; pip install"):
        _ = latentia.load(external.path).model
    load_network.cache_clear()


def test_mirrored_images_come_with_their_own_features(train, photos):
    run = train(augment="flip", epochs=1)
    model, seen = run.model, []
    batch = run.images.split("train").get_batch(slice(None))
    columns = model.setup([batch])
    mirrored = batch.image.flip(3)
    for name, images in zip(photo_vae.COLUMNS, (batch.image, mirrored), strict=True):
        expected = model.read_features(images)
        torch.testing.assert_close(columns[name], expected, atol=1e-4, rtol=1e-3)
    model.encoder.register_forward_hook(lambda _, args, out: seen.append(args))
    batch = batch._replace(columns=columns)
    model.train().terms(batch, latentia.StepContext(0, 10, 0, 48, 0, 48))
    images, features = seen[0]
    is_flipped = (images == mirrored).flatten(1).all(1)
    assert 0.2 < is_flipped.float().mean() < 0.8
    other = torch.where(is_flipped[:, None], columns["flipped_features"], columns["features"])
    assert torch.equal(features, other)


def test_a_larger_weight_reads_features_better_and_pixels_worse(train):
    def measure(weight):
        model = (run := train(f"w{weight}", weight=weight, epochs=1, lr=1e-9)).model
        images = run.images.split("train").get_batch(slice(None)).image
        z, features = model.encode(images).mean, model.read_features(images)
        features = features / weight**0.5
        left = features - z @ torch.linalg.lstsq(z, features).solution
        error = (model.decoder.decode_linearly(z) - images).square().mean()
        return error.item(), left.square().mean().item()

    (low_error, low_left), (high_error, high_left) = measure(1.0), measure(300.0)
    assert low_error < high_error
    assert low_left > high_left


def test_the_default_weight_is_written_into_the_run(train):
    assert train(epochs=1).metadata["closed_form"]["feature_weight"] >= 1
    assert train("none", features="none", epochs=1).metadata["closed_form"]["feature_weight"] == 0


def test_the_doctor_suggests_half_the_weight_where_pixel_pca_is_better(train, monkeypatch):
    monkeypatch.setattr("latentia.diagnostics.run_context.MIN_STEPS", 1)
    findings = train(weight=300.0, epochs=1).diagnose().findings
    finding = next(each for each in findings if each.kind == "no better than PCA")
    assert "with less than --weight 300 they read classes worse" in finding.consequence
    assert "weight=150.0" in finding.suggested_commands[0]


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 13, 40), (2, 5, 7), (4, 64, 64)])
def test_the_decoder_makes_images_of_any_shape(shape):
    decoder = PrincipalDecoder(3, shape, 2)
    assert decoder(torch.randn(2, 3)).shape == (2, *shape)


def test_only_training_adds_noise_to_what_the_network_sees():
    decoder, z = PrincipalDecoder(3, (1, 8, 8), 2), torch.randn(2, 3)
    decoder.noise = 1.0
    torch.nn.init.normal_(decoder.to_image.weight)
    assert torch.equal(decoder(z), decoder(z))
    assert not torch.equal(decoder(z, torch.randn(2, 3)), decoder(z))


def test_the_extended_logit_is_the_logit_inside_and_has_a_gradient_outside():
    x = torch.linspace(-1, 2, 301, dtype=torch.float64).requires_grad_()
    y = extend_logit(x)
    inside = (x >= 0.01) & (x <= 0.99)
    torch.testing.assert_close(y[inside], x[inside].logit())
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert (gradient >= 3.9).all()
    assert (y.diff() > 0).all()


def test_shifted_images_are_crops_of_the_image_mirrored_at_its_edges():
    images = torch.randn(9, 3, 20, 33)
    mirrored = torch.nn.functional.pad(images, (3, 3, 2, 2), "reflect")
    places = torch.rand(9, 2)
    shifted = shift_images(images, places)
    for image, place, whole in zip(shifted, places, mirrored, strict=True):
        top, left = (place * torch.tensor([5, 7])).int()
        assert torch.equal(image, whole[:, top : top + 20, left : left + 33])
    middle = torch.full((9, 2), 0.5)
    assert torch.equal(shift_images(images, middle), images)
    last = torch.tensor([0.0, 1 - 2**-24]).expand(9, 2)
    assert torch.equal(shift_images(images, last), mirrored[:, :, :20, 6:])


def test_training_shows_images_shifted_by_all_places(train):
    """The decoder's targets, and the pixels that the encoder reads."""
    run, seen = train(augment="shift", epochs=1), []
    model, split = run.model, run.images.split("train")
    batch = split.get_batch(slice(None))
    model.likelihood.nll = lambda output, images: seen.append(images) or output.flatten(1).sum(1)
    model.encoder.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    n = len(batch.image)
    for step in range(4):
        model.train().terms(batch, latentia.StepContext(step, 10, 0, n, 0, n))
    assert all(torch.equal(a, b) for a, b in zip(seen[::2], seen[1::2], strict=True))
    fixed = [(images == batch.image).flatten(1).all(1) for images in seen[::2]]
    assert 0.01 < torch.cat(fixed).float().mean() < 0.2  # 1 of 15 places: 12 rows, 20 columns
    with evaluation_mode(model):
        assert model.decoder.noise == photo_vae.NOISE_WITH_SHIFTS < photo_vae.NOISE


@pytest.mark.parametrize(("n", "limit"), [(10, 100), (37, 12), (100, 7)])
def test_a_sample_is_evenly_spaced_whatever_the_batches(n, limit):
    images = torch.arange(n).view(n, 1, 1, 1).float()
    for size in (1, 3, 8, n):
        sample = ImageSample(limit)
        for batch in images.split(size):
            sample.add(batch)
        assert torch.equal(sample.images, images[:: sample.stride])
        assert len(sample.images) <= limit
