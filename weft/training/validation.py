"""`validation_data`, `validation_split` and `validation_freq`: on what and when `fit` evaluates."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from weft.training.array_source import ArraySource
from weft.training.arrays import arrays, split, unpack
from weft.training.iterable_source import is_iterable_of_batches
from weft.training.source import Source
from weft.training.sources import source_for

__all__ = ["Validation", "held_out"]


class Validation:
    """The validation of one run.

    Args:
        data: `(x, y)` or `(x, y, sample_weight)`, as a tuple or list, or an iterable of batches.
        batch_size: of arrays; `fallback` by default, which is that of training.
        steps: batches of each evaluation, which begins anew each time.
        freq: every so many epochs; or the epochs, counted from 1, after which to evaluate.

    Raises:
        ValueError: data in another form, or a `freq` that is neither.
    """

    def __init__(
        self,
        data: Any,
        batch_size: int | None = None,
        fallback: int | None = None,
        steps: int | None = None,
        freq: int | Collection[int] = 1,
        to_device: bool = True,
    ) -> None:
        self.freq = _checked(freq)
        try:
            size = fallback if batch_size is None else batch_size
            self.source = self._source(data, size, steps, to_device)
        except (ValueError, TypeError) as error:
            error.add_note("in validation_data")
            raise

    def _source(self, data: Any, size: int | None, steps: int | None, to_device: bool) -> Source:
        if not is_iterable_of_batches(data):
            if not isinstance(data, tuple | list) or len(data) not in (1, 2, 3):
                number = f" of {len(data)}" if isinstance(data, tuple | list) else ""
                raise ValueError(
                    "validation_data must be (x, y), (x, y, sample_weight) or an iterable of "
                    f"batches, got a {type(data).__name__}{number}."
                )
            if len(data) > 1 or not is_iterable_of_batches(data[0]):
                return source_for(*data, batch_size=size, steps=steps, to_device=to_device)
            (data,) = data
        return source_for(data, steps=steps, to_device=to_device)

    def check(self, model: Any) -> None:
        """Refuse arrays that the model's declared inputs do not take, before it is trained.

        Raises:
            ValueError: they do not fit.
        """
        if isinstance(self.source, ArraySource):
            try:
                model._check_inputs(unpack(next(self.source.start()))[0])
            except (ValueError, TypeError) as error:
                error.add_note("in validation_data")
                raise

    def due(self, epoch: int) -> bool:
        """Whether to evaluate after this epoch (counted from 0), on data that is still there."""
        number = epoch + 1
        wanted = number % self.freq == 0 if isinstance(self.freq, int) else number in self.freq
        return wanted and self.source.more()


def _checked(freq: Any) -> int | Collection[int]:
    if isinstance(freq, Collection) and not isinstance(freq, str):
        return freq
    if not isinstance(freq, int) or isinstance(freq, bool) or freq < 1:
        raise ValueError(
            "validation_freq must be a positive number of epochs, or a list of epochs (counted "
            f"from 1), got {freq!r}."
        )
    return freq


def held_out(x: Any, y: Any, sample_weight: Any, fraction: float) -> tuple[Any, Any]:
    """What is left for training, `(x, y, sample_weight)`, and the last `fraction` of the arrays.

    Raises:
        ValueError: data that yields batches, or a part would be empty.
    """
    if is_iterable_of_batches(x):
        raise ValueError(
            f"validation_split needs arrays, whose last part it holds out; x is a "
            f"{type(x).__name__}. Pass validation_data (weft.utils.split_dataset splits data sets)."
        )
    kept, held = split(arrays(x, y, sample_weight), fraction)
    return unpack(kept), held
