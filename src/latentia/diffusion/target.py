"""What a denoiser predicts, and what that says of data and noise."""

from typing import NamedTuple

from torch import Tensor

from latentia.diffusion.path import Point, Target


class Estimate(NamedTuple):
    """Of the data and the noise that a noisy latent was made of."""

    data: Tensor
    noise: Tensor

    def velocity(self, at: Point) -> Tensor:
        return at.dalpha * self.data + at.dsigma * self.noise


def completed(target: Target, output: Tensor, z: Tensor, at: Point) -> Tensor:
    """What a network says, from its output and what z shows by itself.

    Noise: sigma z + alpha output; Salimans & Ho 2022, arXiv 2202.00512, section 4, where the output
    is their v. Near t = 1 z is the noise, and what an error in it does to the data is 1 / alpha.
    """
    return at.sigma * z + at.alpha * output if target == "noise" else output


def wanted(target: Target, made_of: Estimate, at: Point) -> Tensor:
    """What the denoiser should say."""
    return made_of.noise if target == "noise" else made_of.velocity(at)


def understood(target: Target, said: Tensor, z: Tensor, at: Point) -> Estimate:
    """Data and noise from what the denoiser said of z = alpha data + sigma noise.

    A velocity is solved for with z: the determinant alpha dsigma - sigma dalpha is 1 on the linear
    path and positive on any that goes from data to noise.
    """
    if target == "noise":
        return Estimate((z - at.sigma * said) / at.alpha, said)
    determinant = at.alpha * at.dsigma - at.sigma * at.dalpha
    data = (at.dsigma * z - at.sigma * said) / determinant
    noise = (at.alpha * said - at.dalpha * z) / determinant
    return Estimate(data, noise)
