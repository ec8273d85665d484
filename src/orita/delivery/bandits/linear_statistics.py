"""Sums for ridge regression of rewards on features, one model an arm or one for all, with inverses kept ready.

Legend: A arms, L models (A, or 1 where it is shared), D features, N updates.

Kept are Σ w x xᵀ and Σ w r x. The inverse of ridge · I + Σ w x xᵀ is moved by each update (Sherman and Morrison, 1950)
and computed anew after so many, so that rounding errors do not add up.

Forgetting scales all sums. Written as scale · (sums of a frame), it changes the scale alone, and new rows enter the
frame by weight ÷ scale; the ridge then fades with the scale. When that has fallen below 0.95 the sums are rescaled, the
ridge is restored and all inverses are computed anew. So the ridge in effect is 0.95 to 1 times the one that was
declared; the sums are exact.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from orita.delivery.bandits.belief import FloatArray

__all__ = ["LinearStatistics"]

_FADED = 0.95
_ROUNDED = 1.01


class LinearStatistics:
    """Ridge regressions that learn row by row.

    Attributes:
        theta_LD: coefficients.
        inverse_LDD: of the frame's precision matrices; divided by ``scale`` they are those of all that is known.
        scale: what the frame is multiplied by, in [0.95, 1].
    """

    has_context = True

    def __init__(self, arms: int, features: int, *, ridge: float, shared: bool, refresh: int) -> None:
        self.per_arm = not shared
        self.ridge, self.refresh, self.features = ridge, refresh, features
        self._factor_DD: FloatArray | None = None
        models = 1 if shared else arms
        self.load({"gram": np.zeros((models, features, features)), "moment": np.zeros((models, features))})

    def add(self, arm: int, reward: float, context_D: FloatArray | None, *, weight: float, decay: float) -> None:
        """Multiply all sums by *decay*, then add one update by its *weight*."""
        assert context_D is not None
        self._fade(decay)
        model = arm if self.per_arm else 0
        weight /= self.scale
        weighed_D = weight * context_D
        self._gram_LDD[model] += weighed_D[:, None] * context_D
        self._moment_LD[model] += reward * weighed_D
        self._factor_DD = None
        self._since_L[model] += 1
        if self._since_L[model] >= self.refresh:
            self._invert(model)
            return
        inverse_DD = self.inverse_LDD[model]
        gain_D = inverse_DD @ context_D
        theta_D = self.theta_LD[model]
        gain_per_D = gain_D * (weight / (1 + weight * float(gain_D @ context_D)))
        theta_D += gain_per_D * (reward - float(theta_D @ context_D))
        inverse_DD -= gain_D[:, None] * gain_per_D

    def add_many(
        self,
        arms_N: npt.NDArray[np.int64],
        rewards_N: FloatArray,
        contexts_ND: FloatArray | None,
        *,
        weights_N: FloatArray,
        decay: float,
    ) -> None:
        """Multiply all sums by *decay*, then add updates by their weights; each model that learns is solved once."""
        assert contexts_ND is not None
        self._fade(decay)
        weighed_ND = contexts_ND * (weights_N / self.scale)[:, None]
        models_N = arms_N if self.per_arm else np.zeros_like(arms_N)
        for model in np.unique(models_N).tolist():
            own_N = models_N == model
            self._gram_LDD[model] += weighed_ND[own_N].T @ contexts_ND[own_N]
            self._moment_LD[model] += rewards_N[own_N] @ weighed_ND[own_N]
            self._invert(model)
        self._factor_DD = None

    def factor(self) -> FloatArray:
        """Return a matrix [D, D] whose product with its transpose is the inverse of the shared model, scale aside."""
        if self._factor_DD is None:
            self._factor_DD = np.linalg.cholesky(self.inverse_LDD[0])
        return self._factor_DD

    def grow(self, arms: int) -> None:
        """Make room for so many arms in all."""
        if self.per_arm:
            more = arms - len(self.theta_LD)
            padded = {
                name: np.concatenate([sums, np.zeros((more, *sums.shape[1:]))]) for name, sums in self.sums().items()
            }
            self.load(padded)

    def sums(self) -> dict[str, FloatArray]:
        """Return the sums by their names; copies."""
        return {"gram": self._gram_LDD * self.scale, "moment": self._moment_LD * self.scale}

    def load(self, sums: dict[str, FloatArray]) -> None:
        """Take sums in place of what is here."""
        self._gram_LDD, self._moment_LD, self.scale = sums["gram"].copy(), sums["moment"].copy(), 1.0
        self._invert_all()

    def _fade(self, decay: float) -> None:
        if decay == 1.0:
            return
        self.scale *= decay
        if self.scale < _FADED:
            self.load(self.sums())

    def _invert_all(self) -> None:
        self.inverse_LDD = _inverses(self._gram_LDD, self.ridge)
        self.theta_LD = (self.inverse_LDD @ self._moment_LD[..., None])[..., 0]
        self._since_L = [0] * len(self.theta_LD)
        self._factor_DD = None

    def _invert(self, model: int) -> None:
        inverse_DD = _inverses(self._gram_LDD[model : model + 1], self.ridge)[0]
        self.inverse_LDD[model] = (inverse_DD + inverse_DD.T) / 2
        self.theta_LD[model] = inverse_DD @ self._moment_LD[model]
        self._since_L[model] = 0


def _inverses(gram_LDD: FloatArray, ridge: float) -> FloatArray:
    """Return the inverses of ridge · I + gram, which lie between 0 and 1 ÷ ridge.

    Where sums are so large that the ridge is lost in rounding, eigenvalues that fell below it are put back to it.
    """
    precision_LDD = gram_LDD + ridge * np.eye(gram_LDD.shape[-1])
    try:
        inverse_LDD = np.linalg.inv(precision_LDD)
        diagonal_LD = np.diagonal(inverse_LDD, axis1=1, axis2=2)
        if np.all((diagonal_LD >= 0) & (diagonal_LD <= _ROUNDED / ridge)):
            return np.asarray(inverse_LDD, np.float64)
    except np.linalg.LinAlgError:
        pass
    values_LD, vectors_LDD = np.linalg.eigh(precision_LDD)
    weighed_LDD = vectors_LDD / np.maximum(values_LD, ridge)[:, None, :]
    return np.asarray(weighed_LDD @ vectors_LDD.swapaxes(1, 2), np.float64)
