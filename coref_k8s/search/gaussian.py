"""A Gaussian process over parameters and lengths, in NumPy: small enough for the controller, which has no SciPy.

Mean zero, kernel s^2 * Matern-5/2 with one length-scale for every input; inputs lie in the unit cube. Every observation has
a noise of its own, on top of one that is fitted. Hyperparameters are the most probable ones under log-normal priors.
Rasmussen and Williams, Gaussian Processes for Machine Learning (2006), chapters 2, 4.2 and 5.4; the prior that widens
with the dimension: Hvarfner et al., Vanilla Bayesian Optimization Performs Great in High Dimensions (2024).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

#: Steps of Adam towards the most probable hyperparameters, and their size (logarithms).
_STEPS, _RATE = 60, 0.1
#: Prior of the logarithms: spread of length-scales and of the fitted noise; median of the noise (variance of scores is 1).
_SCALE_SPREAD, _NOISE_SPREAD, _NOISE = 1.0, 1.0, 0.1
_SQRT5 = math.sqrt(5.0)


@dataclass(frozen=True)
class GaussianProcess:
    """A process conditioned on n observations of d inputs."""

    inputs: np.ndarray
    """(n, d)."""
    scales: np.ndarray
    """Length-scales, (d,)."""
    amplitude: float
    """Variance of the process far from any observation."""
    noise: float
    """Fitted variance of an observation."""
    _cholesky: np.ndarray
    _weights: np.ndarray

    def predict(self, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and standard deviation of the process, each (m,), at inputs (m, d)."""
        across = self.amplitude * _matern(_distance(at, self.inputs, self.scales))
        solved = np.linalg.solve(self._cholesky, across.T)
        variance = self.amplitude - np.einsum("nm,nm->m", solved, solved)
        return across @ self._weights, np.sqrt(np.maximum(variance, 1e-12))

    def given(self, inputs: np.ndarray, values: np.ndarray, extra: np.ndarray) -> GaussianProcess:
        """Return the process with the same hyperparameters, conditioned on these observations instead."""
        return _condition(inputs, values, extra, self.scales, self.amplitude, self.noise)


def fit(inputs: np.ndarray, values: np.ndarray, extra: np.ndarray) -> GaussianProcess:
    """Return the most probable process for observations (n, d) and (n,) with mean 0 and variance 1.

    `extra`, (n,), is the variance that is known of each observation beside the fitted noise.
    """
    d = inputs.shape[1]
    squares = (inputs[:, None, :] - inputs[None, :, :]) ** 2
    centre = np.append(np.full(d, 0.5 * math.log(d) - 0.5), [0.0, math.log(_NOISE)])
    spread = np.append(np.full(d, _SCALE_SPREAD), [0.5, _NOISE_SPREAD])
    theta, first, second = centre.copy(), np.zeros(d + 2), np.zeros(d + 2)
    for step in range(1, _STEPS + 1):
        gradient = _gradient(theta, squares, values, extra) - (theta - centre) / spread**2
        first = 0.9 * first + 0.1 * gradient
        second = 0.99 * second + 0.01 * gradient**2
        theta = theta + _RATE * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.99**step)) + 1e-8)
    return _condition(inputs, values, extra, np.exp(theta[:d]), math.exp(theta[d]), math.exp(theta[d + 1]))


def _gradient(theta: np.ndarray, squares: np.ndarray, values: np.ndarray, extra: np.ndarray) -> np.ndarray:
    """Return the gradient of the log marginal likelihood by the logarithms of scales, amplitude, noise (R&W 5.9)."""
    d = squares.shape[2]
    inverse_squares = np.exp(-2 * theta[:d])
    amplitude, noise = math.exp(theta[d]), math.exp(theta[d + 1])
    r = np.sqrt(squares @ inverse_squares)
    kernel = amplitude * _matern(r)
    covariance = kernel + np.diag(noise + extra)
    inverse = np.linalg.inv(covariance)
    weights = inverse @ values
    pull = 0.5 * (np.outer(weights, weights) - inverse)
    # d kernel / d log scale_i = amplitude * 5/3 (1 + sqrt5 r) exp(-sqrt5 r) * (difference_i / scale_i)^2
    slope = pull * amplitude * (5.0 / 3.0) * (1 + _SQRT5 * r) * np.exp(-_SQRT5 * r)
    by_scale = np.einsum("nm,nmd->d", slope, squares) * inverse_squares
    return np.append(by_scale, [float((pull * kernel).sum()), noise * float(np.trace(pull))])


def _condition(
    inputs: np.ndarray,
    values: np.ndarray,
    extra: np.ndarray,
    scales: np.ndarray,
    amplitude: float,
    noise: float,
) -> GaussianProcess:
    covariance = amplitude * _matern(_distance(inputs, inputs, scales)) + np.diag(noise + extra + 1e-8)
    cholesky = np.linalg.cholesky(covariance)
    weights = np.linalg.solve(cholesky.T, np.linalg.solve(cholesky, values))
    return GaussianProcess(inputs, scales, amplitude, noise, cholesky, weights)


def _distance(a: np.ndarray, b: np.ndarray, scales: np.ndarray) -> np.ndarray:
    a, b = a / scales, b / scales
    squared = (a**2).sum(1)[:, None] + (b**2).sum(1)[None, :] - 2 * a @ b.T
    return np.sqrt(np.maximum(squared, 0.0))


def _matern(r: np.ndarray) -> np.ndarray:
    return (1 + _SQRT5 * r + 5.0 / 3.0 * r**2) * np.exp(-_SQRT5 * r)
