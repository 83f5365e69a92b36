"""`SwapEMAWeights`: evaluate with the averages that the optimizer keeps of the weights."""

from __future__ import annotations

from typing import Any

import jax

from weft.callbacks.rates import leaves
from weft.engine import Variable
from weft.training.callback import Callback

__all__ = ["SwapEMAWeights"]


class SwapEMAWeights(Callback):
    """Gives the model its moving averages (Polyak averaging) for evaluation and prediction.

    The optimizer has to keep them: `use_ema=True`. Its own weights come back afterwards. The
    optimizer's averages stay where they are, so that a checkpoint written meanwhile has both; the
    weights take room once more until they are back. `fit` ends with the averages in the model,
    as it does under `use_ema` anyway.

    Args:
        swap_on_epoch: have the averages in the model also from an epoch's end until the next
            begins, for the callbacks that come after this one (`ModelCheckpoint`).

    Raises:
        ValueError: (in training) the optimizer keeps no averages.

    Example:
        >>> callbacks = [SwapEMAWeights(swap_on_epoch=True)]
    """

    def __init__(self, swap_on_epoch: bool = False) -> None:
        self.swap_on_epoch = swap_on_epoch
        self._kept: list[tuple[Variable, Any]] = []  # the model's own values

    def _averages(self) -> list[tuple[Variable, Variable]]:
        """The model's variables, each with its average."""
        optimizer = getattr(self.model, "optimizer", None)
        keeping = [each for each in leaves(optimizer) if getattr(each, "use_ema", False)]
        if not keeping:
            raise ValueError(
                "SwapEMAWeights needs an optimizer that keeps averages, got "
                f"{type(optimizer).__name__} with use_ema=False. Make it with use_ema=True."
            )
        return [(v, each._slot(v, "average")) for each in keeping for v in each._trained]

    def _swap(self) -> None:
        if not self._kept:
            pairs = self._averages()
            self._kept = [(variable, _copy(variable)) for variable, _ in pairs]
            for variable, average in pairs:
                variable.assign(_copy(average))

    def _swap_back(self) -> None:
        kept, self._kept = self._kept, []
        for variable, value in kept:
            variable.assign(value)

    def _run_over(self) -> None:
        self._swap_back()  # where the run was broken off

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._averages()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._swap_back()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.swap_on_epoch:
            self._swap()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._kept = []  # the averages are the model's weights now

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._swap()

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        self._swap_back()

    def on_predict_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._swap()

    def on_predict_end(self, logs: dict[str, Any] | None = None) -> None:
        self._swap_back()


def _copy(variable: Variable) -> jax.Array:
    """The value in a buffer of its own: a variable's is donated to the next step."""
    return jax.numpy.array(variable.array(), copy=True)
