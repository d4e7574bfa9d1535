"""ImageVAE keeps scikit-learn's conventions and latentia's units."""

import copy
import io
import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

import latentia
from latentia.core.contract import Batch, StepContext
from latentia.sklearn import ImageVAE

EXPECTED_FAILURES = {}  # at most three, each with its reason
SMALL = {"latent": 3, "epochs": 2}
NARROW = {"hidden": 8}
VAES = {
    **dict.fromkeys(("conv_vae", "digits_vae", "mnist_conv_vae", "vaegan")),
    "mnist_mlp_vae": NARROW,
    "mnist_iwae": NARROW,
    "mnist_hvae": NARROW,
}


@pytest.fixture(scope="module")
def digits():
    """(n, 64), grey from 0 to 16, and labels."""
    return load_digits(return_X_y=True)


@pytest.fixture(scope="module")
def fitted(digits):
    return ImageVAE("mnist_mlp_vae", latent=4, batch=16, epochs=20).fit(digits[0][:400])


def test_scikit_learns_own_checks_pass():
    assert len(EXPECTED_FAILURES) <= 3
    found = check_estimator(
        ImageVAE(latent=2, epochs=2), expected_failed_checks=EXPECTED_FAILURES, on_skip=None
    )
    assert sum(each["status"] == "passed" for each in found) >= 40


@pytest.mark.parametrize("recipe", VAES)
def test_any_vae_recipe_at_the_images_own_size(recipe, digits):
    X = np.repeat(np.repeat(digits[0][:30].reshape(-1, 8, 8), 3, 1), 3, 2)
    made = ImageVAE(recipe, **SMALL, parameters=VAES[recipe]).fit(X)
    assert made.transform(X).shape == (30, 3)
    assert made.inverse_transform(made.transform(X)).shape == X.shape
    assert np.isfinite(made.score(X))


def test_rows_and_arrays_are_the_same_images_however_their_axes_lie():
    images = np.random.default_rng(0).random((20, 6, 5, 3))
    layouts = {"last": images, "first": images.transpose(0, 3, 1, 2), "rows": images}
    z, back = {}, {}
    for name, X in layouts.items():
        shape = X.shape[1:]
        X = X.reshape(20, -1) if name == "rows" else X
        made = ImageVAE(**SMALL, image_shape=shape if name == "rows" else None).fit(X)
        z[name], back[name] = made.transform(X), made.inverse_transform(made.transform(X))
        assert back[name].shape == X.shape
        assert np.array_equal(made.transform(X.reshape(20, -1)), z[name])
    assert np.array_equal(z["first"], z["last"])
    assert np.array_equal(z["rows"], z["last"])
    assert np.array_equal(back["first"].transpose(0, 2, 3, 1), back["last"])
    assert np.array_equal(back["rows"].reshape(images.shape), back["last"])


def test_units_of_the_data_change_nothing_but_what_comes_back(digits):
    X = digits[0][:100].astype(np.float32)
    ours, theirs = (ImageVAE(**SMALL).fit(each) for each in (X, 8 - 2 * (8 - X)))  # 2 X - 8
    z = ours.transform(X)
    assert np.array_equal(theirs.transform(2 * X - 8), z)
    assert np.array_equal(theirs.score_samples(2 * X - 8), ours.score_samples(X))
    expected = 2 * ours.inverse_transform(z) - 8
    np.testing.assert_allclose(theirs.inverse_transform(z), expected, atol=1e-5)
    told = ImageVAE(**SMALL, scale=(0, 16)).fit(X)
    assert np.array_equal(told.transform(X), z)


def test_score_samples_are_the_elbo_that_the_engine_validates_with(digits, fitted):
    """Other draws, the same mean: paired, over 600 images."""
    X = digits[0][400:1000]
    ours = fitted.score_samples(X).astype(float)
    images = torch.from_numpy(X.reshape(-1, 1, 8, 8) / 16).float()
    moment = StepContext(0, 1, 0, len(X), 0, len(X))
    found = fitted.model_.score(Batch(images, {}), moment)
    assert found["rate"].mean() > 1
    nelbo = found["nelbo"].double().numpy()
    gap = ours + nelbo
    assert 0 < abs(gap.mean()) < 4 * gap.std() / len(X) ** 0.5
    assert fitted.score(X) == pytest.approx(ours.mean())
    np.testing.assert_allclose(fitted.score_samples(X[7:8]), ours[7:8], rtol=1e-5)


def test_a_binary_model_is_judged_on_the_draws_that_it_observes(digits):
    X = digits[0][:40]
    made = ImageVAE("mnist_iwae", **SMALL, parameters={"hidden": 8}).fit(X)
    seen = []
    likelihood = made.model_.likelihood.nll
    made.model_.likelihood.nll = lambda out, x: seen.append(x) or likelihood(out, x)
    first, again = made.score_samples(X), made.score_samples(X[::-1])
    assert set(torch.cat(seen).unique().tolist()) == {0.0, 1.0}
    np.testing.assert_allclose(first, again[::-1], rtol=1e-5)


def test_what_is_stored_or_copied_says_the_same_and_a_clone_knows_nothing(digits, fitted):
    X, z = digits[0][:50], fitted.transform(digits[0][:50])
    for again in (pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted)):
        assert np.array_equal(again.transform(X), z)
        assert np.array_equal(again.sample(3), fitted.sample(3))
        assert again.get_params() == fitted.get_params()
    assert len(pickle.dumps(fitted)) < 2e6  # weights, not images
    assert not hasattr(clone(fitted), "model_")
    torch.save(fitted.model_.state_dict(), io.BytesIO())


def test_in_a_pipeline_and_a_grid_search(digits):
    X, y = digits[0][:300], digits[1][:300]
    line = make_pipeline(
        ImageVAE("mnist_mlp_vae", latent=8, batch=16, epochs=20), LogisticRegression(max_iter=1000)
    )
    assert line.fit(X, y).score(X, y) > 0.5
    grid = GridSearchCV(ImageVAE(**SMALL), {"latent": [1, 3], "beta": [1.0, 4.0]}, cv=2).fit(X[:80])
    assert grid.best_params_.keys() == {"latent", "beta"}
    assert grid.best_score_ == max(grid.cv_results_["mean_test_score"])
    assert grid.transform(X).shape == (300, grid.best_params_["latent"])
    named = ImageVAE(**SMALL).set_output(transform="pandas").fit_transform(X)
    assert list(named.columns) == ["imagevae0", "imagevae1", "imagevae2"]


def test_sample_k_of_a_seed_is_the_same_for_every_n_and_lies_in_the_datas_range(digits, fitted):
    many = fitted.sample(70, random_state=3)
    assert np.allclose(fitted.sample(5, random_state=3), many[:5], atol=1e-5)
    assert not np.allclose(fitted.sample(5, random_state=4), many[:5])
    assert many.shape == (70, 64)
    assert 0 <= many.min() < 4
    assert 12 < many.max() <= 16
    rng = np.random.RandomState(0)
    assert not np.array_equal(fitted.sample(5, rng), fitted.sample(5, rng))


def test_all_is_learned_from_and_a_run_is_kept_only_where_it_was_asked_for(digits, tmp_path):
    X = digits[0][:60]
    made = ImageVAE(**SMALL, run=tmp_path / "run", modifiers={"free_bits": {"free_bits": 0.1}}).fit(
        X
    )
    assert made.metadata_["images"]["count"] == {"train": 55, "validation": 5, "test": 0}
    assert made.metadata_["modifiers"] == {"free_bits": {"free_bits": 0.1}}
    kept = latentia.load(tmp_path / "run").model
    z = kept.encode(torch.from_numpy(X.reshape(-1, 1, 8, 8) / 16).float()).mean
    assert np.array_equal(z.numpy(), made.transform(X))
    all_of_it = ImageVAE(**SMALL, options={"validation": 0.0}).fit(X)
    assert all_of_it.metadata_["images"]["count"]["train"] == 60
    with pytest.raises(latentia.Error, match="give another --run"):
        ImageVAE(**SMALL, run=tmp_path / "run").fit(X)


def test_a_recipe_or_option_that_cannot_be_used_leaves_no_run(digits, tmp_path):
    with pytest.raises(latentia.Error, match="mnist_dcgan has no encoder"):
        ImageVAE("mnist_dcgan", epochs=1, run=tmp_path / "run").fit(digits[0][:60])
    with pytest.raises(latentia.Error, match="options has no parameter --bogus"):
        ImageVAE(**SMALL, options={"bogus": 1}, run=tmp_path / "run").fit(digits[0][:60])
    assert [*tmp_path.iterdir()] == []
    ImageVAE(**SMALL, options={"threads": np.int64(1)}).fit(digits[0][:60])


@pytest.mark.filterwarnings("ignore:::tensorboard")
def test_a_tracker_is_told_as_by_the_command(digits, tmp_path):
    ImageVAE(**SMALL, options={"tracker": "tensorboard"}, run=tmp_path / "run").fit(digits[0])
    assert [*(tmp_path / "run" / "tracker").rglob("events.*")]


def test_what_cannot_be_is_said(digits, fitted):
    X = digits[0][:20]
    cases = [
        (lambda: ImageVAE("mnist_gan").fit(X), "mnist_gan has no encoder"),
        (lambda: ImageVAE(image_shape=(8, 9)).fit(X), r"is \(8, 9\), and each image has 64 values"),
        (lambda: ImageVAE(scale=(0, 1)).fit(X), r"X lies in \[0, 16\]; it must lie in scale="),
        (lambda: ImageVAE(scale="maxmin").fit(X), "scale is 'maxmin'; it must be 'minmax' or"),
        *(
            (lambda scale=scale: ImageVAE(scale=scale).fit(X), "must be 'minmax' or two finite")
            for scale in ((0,), 255, np.array([0, 255]), (0, np.nan), (255, 0), (5, 5), "05", None)
        ),
        (lambda: fitted.transform(X.reshape(-1, 4, 16)), r"\(4, 16\); \(8, 8\) were fitted"),
        (lambda: fitted.inverse_transform(X), "has 64 columns; give the 4 latents"),
        (lambda: ImageVAE(latent=0).fit(X), "--latent is 0; it must be at least 1"),
        (lambda: ImageVAE(parameters={"widht": 3}).fit(X), "has no parameter --widht"),
        (lambda: ImageVAE("conv_vea").fit(X), "did you mean conv_vae"),
    ]
    for call, said in cases:
        with pytest.raises(latentia.Error, match=said):
            call()
