"""What a denoiser predicts, and what that says of data and noise."""

from typing import NamedTuple

from torch import Tensor

from latentia.diffusion.path import PathCoefficients, Target


class DenoisedEstimate(NamedTuple):
    """Of the data and the noise that a noisy latent was made of."""

    data: Tensor
    noise: Tensor

    def velocity(self, coefficients: PathCoefficients) -> Tensor:
        return coefficients.dalpha * self.data + coefficients.dsigma * self.noise


def to_prediction(
    target: Target, output: Tensor, z: Tensor, coefficients: PathCoefficients
) -> Tensor:
    """What a network says, from its output and what z shows by itself.

    Noise: sigma z + alpha output; Salimans & Ho 2022, arXiv 2202.00512, section 4, where the output
    is their v. Near t = 1 z is the noise, and what an error in it does to the data is 1 / alpha.
    """
    return coefficients.sigma * z + coefficients.alpha * output if target == "noise" else output


def training_target(
    target: Target, components: DenoisedEstimate, coefficients: PathCoefficients
) -> Tensor:
    """What the denoiser should say."""
    return components.noise if target == "noise" else components.velocity(coefficients)


def to_estimate(
    target: Target, prediction: Tensor, z: Tensor, coefficients: PathCoefficients
) -> DenoisedEstimate:
    """Data and noise from what the denoiser said of z = alpha data + sigma noise.

    A velocity is solved for with z: the determinant alpha dsigma - sigma dalpha is 1 on the linear
    path and positive on any that goes from data to noise.
    """
    if target == "noise":
        return DenoisedEstimate(
            (z - coefficients.sigma * prediction) / coefficients.alpha, prediction
        )
    determinant = (
        coefficients.alpha * coefficients.dsigma - coefficients.sigma * coefficients.dalpha
    )
    data = (coefficients.dsigma * z - coefficients.sigma * prediction) / determinant
    noise = (coefficients.alpha * prediction - coefficients.dalpha * z) / determinant
    return DenoisedEstimate(data, noise)
