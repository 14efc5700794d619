"""Gaussian noise on the ticket's weights (Appendix F.7, Figure 25).

Its standard deviation is a multiple of σ, that of the layer's initial weights.
"""

from collections.abc import Callable
from typing import ClassVar

import numpy as np

from lth_tf.arms import ARMS, Arm, Draw
from lth_tf.arrays import Arrays


class _Noise:
    """Adds noise to the ticket's weights.

    Attributes:
        factor: the noise's standard deviation, in multiples of σ.
    """

    factor: ClassVar[float]

    def weights(self, ticket: Callable[[], Arrays], masks: Arrays, draw: Draw) -> Arrays:
        """Adds noise to each kernel, anew at each level; at every factor the same, but larger."""
        rng = draw.generator("noise")
        weights, theta_0 = ticket(), draw.theta_0()

        def noise(name: str) -> np.ndarray:
            deviation = np.float32(self.factor) * theta_0[name].std()
            return deviation * rng.standard_normal(theta_0[name].shape, np.float32)

        return {**weights, **{name: weights[name] + noise(name) for name in masks}}


@ARMS.register
class NoiseHalf(_Noise, Arm):
    """The ticket with noise of half a σ."""

    name = "noise_half"
    label = "ticket, noise of 0.5 sd"
    help = "the ticket, Gaussian noise on its weights of 0.5 standard deviations of the layer's θ0"
    place = 8
    factor = 0.5


@ARMS.register
class Noise1(_Noise, Arm):
    """The ticket with noise of one σ."""

    name = "noise_1"
    label = "ticket, noise of 1 sd"
    help = "the noise of `noise_half`, of 1 standard deviation"
    place = 9
    factor = 1.0


@ARMS.register
class Noise2(_Noise, Arm):
    """The ticket with noise of two σ."""

    name = "noise_2"
    label = "ticket, noise of 2 sd"
    help = "the noise of `noise_half`, of 2 standard deviations"
    place = 10
    factor = 2.0


@ARMS.register
class Noise3(_Noise, Arm):
    """The ticket with noise of three σ."""

    name = "noise_3"
    label = "ticket, noise of 3 sd"
    help = "the noise of `noise_half`, of 3 standard deviations"
    place = 11
    factor = 3.0
