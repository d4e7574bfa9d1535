"""Prediction targets of denoisers, and the estimates of data and noise that follow from them."""

from typing import NamedTuple

from torch import Tensor

from latentia.diffusion.path import PathCoefficients, Target


class DenoisedEstimate(NamedTuple):
    """The data and the noise in a noisy latent z = alpha data + sigma noise."""

    data: Tensor
    noise: Tensor

    def velocity(self, coeffs: PathCoefficients) -> Tensor:
        """dz/dt at fixed data and noise."""
        return coeffs.dalpha * self.data + coeffs.dsigma * self.noise


def to_prediction(target: Target, output: Tensor, z: Tensor, coeffs: PathCoefficients) -> Tensor:
    """Convert a network's output to the prediction of the target.

    For noise it is sigma z + alpha output, where the output is v of Salimans & Ho 2022, arXiv
    2202.00512, section 4: near t = 1 z is almost the noise, and an error of the predicted noise
    grows by 1 / alpha in the data.
    """
    return coeffs.sigma * z + coeffs.alpha * output if target == "noise" else output


def training_target(target: Target, truth: DenoisedEstimate, coeffs: PathCoefficients) -> Tensor:
    """Return the noise or the velocity that a denoiser is trained to predict."""
    return truth.noise if target == "noise" else truth.velocity(coeffs)


def to_estimate(
    target: Target, prediction: Tensor, z: Tensor, coeffs: PathCoefficients
) -> DenoisedEstimate:
    """Solve z = alpha data + sigma noise and the prediction for data and noise.

    The determinant for a velocity, alpha dsigma - sigma dalpha, is 1 on the linear path and
    positive on every path from data to noise.
    """
    alpha, sigma, dalpha, dsigma = coeffs
    if target == "noise":
        return DenoisedEstimate((z - sigma * prediction) / alpha, prediction)
    determinant = alpha * dsigma - sigma * dalpha
    data = (dsigma * z - sigma * prediction) / determinant
    return DenoisedEstimate(data, (alpha * prediction - dalpha * z) / determinant)
