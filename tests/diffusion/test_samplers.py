"""Samplers against closed forms and well-kept schedulers."""

import numpy as np
import pytest
import torch

from latentia.diffusion.guidance import apply_guidance
from latentia.diffusion.path import (
    PATHS,
    LinearPath,
    VariancePreservingPath,
    broadcast_coefficients,
)
from latentia.diffusion.registry import SAMPLERS
from latentia.diffusion.samplers import ddim, ddpm, time_grid
from latentia.diffusion.target import DenoisedEstimate, to_estimate

SD = 0.5  # of the data, a Gaussian of mean 2: its best denoiser is known


def best(path):
    """E[data | z_t] and the noise that goes with it."""

    def denoise(z, t):
        at = broadcast_coefficients(path.coefficients(torch.tensor([t], dtype=torch.float64)), z)
        variance = at.alpha**2 * SD**2 + at.sigma**2
        data = 2 + at.alpha * SD**2 / variance * (z - 2 * at.alpha)
        return DenoisedEstimate(data, at.sigma / variance * (z - 2 * at.alpha))

    return denoise


def flowed(path, z):
    """Where the probability flow takes z of t = 1: it keeps z's place in the Gaussian."""
    at = path.coefficients(torch.ones(1, dtype=torch.float64))
    return 2 + SD * (z - 2 * at.alpha) / (at.alpha**2 * SD**2 + at.sigma**2).sqrt()


def no_noise(step):
    raise AssertionError("a deterministic sampler drew noise")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("name", "order"), [("euler", 1), ("ddim", 1), ("heun", 2)])
def test_a_samplers_order(name, order, path):
    """Twice the steps: 1 / 2^order of the error. The path's last stretch is left out: there the
    variance-preserving velocity is infinite, and Heun's last step is Euler's.
    """
    kind = PATHS[path]()
    z = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
    ends = []
    for steps in (40, 80, 2560):
        times = [1 - 0.8 * k / steps for k in range(steps + 1)]
        *_, end = SAMPLERS[name](best(kind), kind, z, times, no_noise)
        ends.append(end)
    errors = [(end - ends[-1]).abs().max().item() for end in ends[:-1]]
    assert errors[0] / errors[1] == pytest.approx(2**order, rel=0.15)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", ["euler", "ddim", "heun"])
def test_the_flow_of_a_gaussian_is_followed_to_the_data(name, path):
    kind = PATHS[path]()
    z = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
    *_, end = SAMPLERS[name](best(kind), kind, z, time_grid(2000), no_noise)
    torch.testing.assert_close(end, flowed(kind, z), atol=4e-3, rtol=0)


def test_ancestral_samples_have_the_datas_mean_and_variance():
    draw = torch.Generator().manual_seed(0)
    n = 20_000
    z = torch.randn(n, 1, generator=draw, dtype=torch.float64)
    path = VariancePreservingPath()

    def fresh(step):
        return torch.randn(n, 1, generator=draw, dtype=torch.float64)

    *_, end = ddpm(best(path), path, z, time_grid(200), fresh)
    assert end.mean().item() == pytest.approx(2, abs=4 * SD / n**0.5 + 0.01)
    assert end.std().item() == pytest.approx(SD, rel=0.03)


def schedulers_twin(kind):
    """A diffusers scheduler with this path's alphas, and a network that it is run on."""
    diffusers = pytest.importorskip("diffusers")
    count, path = 50, VariancePreservingPath()
    squares = path.coefficients(
        torch.arange(1, count + 1, dtype=torch.float64) / count
    ).alpha.square()
    betas = 1 - squares / torch.cat([torch.ones(1).double(), squares[:-1]])
    known = {"num_train_timesteps": count, "trained_betas": betas.numpy().astype(np.float64)}
    scheduler = getattr(diffusers, kind)(**known, clip_sample=False)
    scheduler.alphas_cumprod, scheduler.betas = squares, betas  # it keeps them in float32
    scheduler.alphas = 1 - betas
    scheduler.set_timesteps(count)
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(4, 32), torch.nn.SiLU(), torch.nn.Linear(32, 3))
    net = net.double().requires_grad_(False)

    def noise(z, t):
        return net(torch.cat([z, torch.full((len(z), 1), t, dtype=z.dtype)], 1))

    def denoise(z, t):
        at = broadcast_coefficients(path.coefficients(torch.tensor([t], dtype=torch.float64)), z)
        return to_estimate("noise", noise(z, t), z, at)

    return scheduler, path, noise, denoise, count


@pytest.mark.parametrize("kind", ["DDIMScheduler", "DDPMScheduler"])
def test_each_step_is_a_well_kept_schedulers(kind, monkeypatch):
    scheduler, path, noise, denoise, count = schedulers_twin(kind)
    draw = torch.Generator().manual_seed(1)
    z = torch.randn(5, 3, generator=draw, dtype=torch.float64)
    fresh = torch.randn(count, 5, 3, generator=draw, dtype=torch.float64)
    own = (ddim if kind.startswith("DDIM") else ddpm)(
        denoise, path, z, time_grid(count), lambda k: fresh[k]
    )
    drawn = iter(fresh)
    monkeypatch.setattr(
        "diffusers.schedulers.scheduling_ddpm.randn_tensor", lambda *_, **__: next(drawn)
    )
    for k, after in enumerate(own):
        t = scheduler.timesteps[k]
        theirs = scheduler.step(noise(z, (t.item() + 1) / count), t, z).prev_sample
        torch.testing.assert_close(after, theirs, atol=1e-5, rtol=0, msg=f"step {k}")
        z = after


def test_ddim_is_eulers_method_on_the_linear_path():
    z = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
    path = LinearPath()
    ends = [
        list(SAMPLERS[k](best(path), path, z, time_grid(7), no_noise))[-1]
        for k in ("ddim", "euler")
    ]
    torch.testing.assert_close(*ends)


def test_guidance_is_a_line_through_free_and_conditional():
    asked = []

    def predict(z, t, kept):
        asked.append(len(z))
        return torch.where(kept[:, None], z + t[:, None], -z)

    z, t = torch.ones(3, 2), torch.full((3,), 0.5)
    for guidance, wanted, rows in ((0.0, -1.0, 3), (1.0, 1.5, 3), (3.0, 6.5, 6)):
        torch.testing.assert_close(
            apply_guidance(predict, guidance)(z, t), torch.full((3, 2), wanted)
        )
        assert asked.pop() == rows
