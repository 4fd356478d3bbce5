"""A Gaussian process over parameters and lengths, in NumPy: small enough for the controller, which has no SciPy.

Mean zero, kernel s^2 * Matern-5/2 with one length-scale for every input; inputs lie in the unit cube. Every observation has
a noise of its own, on top of one that is fitted. Hyperparameters are the most probable ones under log-normal priors.
Rasmussen and Williams, Gaussian Processes for Machine Learning (2006), chapters 2, 4.2 and 5.4; the prior that widens
with the dimension: Hvarfner et al., Vanilla Bayesian Optimization Performs Great in High Dimensions (2024).
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache

import numpy as np
from threadpoolctl import ThreadpoolController

#: Steps of Adam towards the most probable hyperparameters, and their size (logarithms).
_STEPS, _RATE = 60, 0.1
#: Prior of the logarithms: spread of length-scales and of the fitted noise; median of the noise (variance of scores is 1).
_SCALE_SPREAD, _NOISE_SPREAD, _NOISE = 1.0, 1.0, 0.1
#: Variance of what is believed: equal places would make a covariance without any singular.
_BELIEVED = 1e-4
_SQRT5 = math.sqrt(5.0)


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()


def one_thread() -> AbstractContextManager[object]:
    """Let linear algebra run on one thread: on matrices this small others wait actively, for ten times the CPU time."""
    return _libraries().limit(limits=1, user_api="blas")


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
    values: np.ndarray
    """(n,)."""
    variances: np.ndarray
    """Of each observation: the fitted noise and what is known beside it, (n,)."""
    _whitening: np.ndarray
    """Inverse of the covariance's Cholesky factor, (n, n)."""
    _weights: np.ndarray

    def predict(self, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and standard deviation of the process, each (m,), at inputs (m, d)."""
        across = self.amplitude * _matern(_distance(at, self.inputs, self.scales))
        variance = self.amplitude - ((across @ self._whitening.T) ** 2).sum(axis=1)
        return across @ self._weights, np.sqrt(np.maximum(variance, 1e-12))

    def believing(self, at: np.ndarray) -> GaussianProcess:
        """Return the process as it will be once it has seen what it expects at inputs (m, d), noise left aside.

        What is about to be known there is worth no other look (the kriging believer: Ginsbourger, Le Riche and Carraro 2010).
        """
        expected, _ = self.predict(at)
        return _condition(
            np.vstack([self.inputs, at]),
            np.append(self.values, expected),
            np.append(self.variances, np.full(len(at), _BELIEVED)),
            self.scales,
            self.amplitude,
            self.noise,
        )


def fit(inputs: np.ndarray, values: np.ndarray, extra: np.ndarray) -> GaussianProcess:
    """Return the most probable process for observations (n, d) and (n,) with mean 0 and variance 1.

    `extra`, (n,), is the variance that is known of each observation beside the fitted noise.
    """
    return choose(inputs, values[None], extra)[1]


def choose(inputs: np.ndarray, several: np.ndarray, extra: np.ndarray) -> tuple[int, GaussianProcess]:
    """Return which of the value vectors `several` (k, n) is most probable with its process, and that process.

    The vectors are what remains of the same observations beside different expectations. Each step of the ascent follows the
    one that is most probable at its hyperparameters: k whole fits would cost k times as much and choose the same nearly always.
    """
    n, d = inputs.shape
    pairs = np.triu_indices(n, 1)
    squares = (inputs[pairs[0]] - inputs[pairs[1]]) ** 2
    centre = np.append(np.full(d, 0.5 * math.log(d) - 0.5), [0.0, math.log(_NOISE)])
    spread = np.append(np.full(d, _SCALE_SPREAD), [0.5, _NOISE_SPREAD])
    theta, first, second = centre.copy(), np.zeros(d + 2), np.zeros(d + 2)
    for step in range(1, _STEPS + 1):
        best, gradient = _gradient(theta, pairs, squares, several, extra)
        gradient = gradient - (theta - centre) / spread**2
        first = 0.9 * first + 0.1 * gradient
        second = 0.99 * second + 0.01 * gradient**2
        theta = theta + _RATE * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.99**step)) + 1e-8)
    found = np.exp(theta[:d]), math.exp(theta[d]), math.exp(theta[d + 1])
    return best, _condition(inputs, several[best], found[2] + extra, *found)


def _gradient(
    theta: np.ndarray,
    pairs: tuple[np.ndarray, np.ndarray],
    squares: np.ndarray,
    several: np.ndarray,
    extra: np.ndarray,
) -> tuple[int, np.ndarray]:
    """Return the most probable value vector, and the gradient of its log marginal likelihood (R&W 5.9).

    By the logarithms of scales, amplitude, noise. `squares` (pairs, d) are the squared differences of `pairs` of observations.
    """
    d = squares.shape[1]
    inverse_squares = np.exp(-2 * theta[:d])
    amplitude, noise = math.exp(theta[d]), math.exp(theta[d + 1])
    r = _SQRT5 * np.sqrt(squares @ inverse_squares)
    decay = amplitude * np.exp(-r)
    kernel = (1 + r + r**2 / 3) * decay
    covariance = np.diag(amplitude + noise + extra)
    covariance[pairs] = kernel
    covariance.T[pairs] = kernel
    inverse = np.linalg.inv(covariance)
    weights = several @ inverse
    best = int((several * weights).sum(axis=1).argmin())  # they share the determinant
    pull = 0.5 * (np.outer(weights[best], weights[best]) - inverse)
    beside, diagonal = pull[pairs], float(np.trace(pull))
    # d kernel / d log scale_i = amplitude * 5/3 (1 + sqrt5 r) exp(-sqrt5 r) * (difference_i / scale_i)^2
    by_scale = ((10.0 / 3.0) * beside * decay * (1 + r)) @ squares * inverse_squares
    return best, np.append(by_scale, [2 * float(beside @ kernel) + amplitude * diagonal, noise * diagonal])


def _condition(
    inputs: np.ndarray,
    values: np.ndarray,
    variances: np.ndarray,
    scales: np.ndarray,
    amplitude: float,
    noise: float,
) -> GaussianProcess:
    covariance = amplitude * _matern(_distance(inputs, inputs, scales)) + np.diag(variances + 1e-8)
    whitening = np.linalg.inv(np.linalg.cholesky(covariance))
    weights = whitening.T @ (whitening @ values)
    return GaussianProcess(inputs, scales, amplitude, noise, values, variances, whitening, weights)


def _distance(a: np.ndarray, b: np.ndarray, scales: np.ndarray) -> np.ndarray:
    a, b = a / scales, b / scales
    squared = (a**2).sum(1)[:, None] + (b**2).sum(1)[None, :] - 2 * a @ b.T
    return np.sqrt(np.maximum(squared, 0.0))


def _matern(r: np.ndarray) -> np.ndarray:
    return (1 + _SQRT5 * r + 5.0 / 3.0 * r**2) * np.exp(-_SQRT5 * r)
