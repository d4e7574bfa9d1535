"""Contrast, grain size and correlation of speckle images (n, h, w), cut to the illuminated area."""

import numpy as np


def contrast(intensity: np.ndarray) -> np.ndarray:
    """Standard deviation over mean of each image; Goodman 2007, equation 3.5.

    Fully developed speckle has a contrast of 1.
    """
    flat = intensity.reshape(len(intensity), -1).astype(np.float64)
    return flat.std(1) / flat.mean(1)


def autocorrelation(intensity: np.ndarray) -> np.ndarray:
    """Autocorrelation by lag (h, w), averaged over images; 1 at lag 0, which is the first corner.

    Lags do not wrap around: each is averaged over the pairs of pixels that have it.
    """
    h, w = intensity.shape[1:]
    deviations = intensity - intensity.mean((1, 2), keepdims=True, dtype=np.float64)

    def lag_products(images: np.ndarray) -> np.ndarray:
        power = abs(np.fft.rfft2(images, (2 * h, 2 * w))) ** 2
        return np.fft.irfft2(power.mean(0), (2 * h, 2 * w))[:h, :w]

    covariance = lag_products(deviations) / lag_products(np.ones((1, h, w)))
    return covariance / covariance[0, 0]


def grain_size(intensity: np.ndarray) -> float:
    """Full width at half maximum of the autocorrelation in pixels, the mean of both axes.

    A filled aperture na gives |2 J_1(x) / x|^2 with x = 2 pi na r / wavelength, whose width is
    1.03 wavelength / (2 na) (Goodman 2007, section 5.7). Infinite if the autocorrelation stays
    above a half.
    """
    correlation = autocorrelation(intensity)
    widths = []
    for profile in (correlation[0], correlation[:, 0]):
        below_half = np.flatnonzero(profile < 0.5)
        if not len(below_half):
            return float("inf")
        k = int(below_half[0])  # the crossing of 1/2 lies between k - 1 and k
        widths.append(2 * (k - 1 + (profile[k - 1] - 0.5) / (profile[k - 1] - profile[k])))
    return float(np.mean(widths))


def pixel_correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Pearson correlation of the pixels of each pair of images, (n,)."""
    a, b = (x.reshape(len(x), -1).astype(np.float64) for x in (a, b))
    a, b = (x - x.mean(1, keepdims=True) for x in (a, b))
    return (a * b).sum(1) / np.sqrt((a**2).sum(1) * (b**2).sum(1))
