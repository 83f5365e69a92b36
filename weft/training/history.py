"""`History`: what `fit` returns."""

from __future__ import annotations

from typing import Any

from weft.training.callback import Callback
from weft.training.logs import Logs

__all__ = ["History"]


class History(Callback):
    """The metric values of every epoch; `fit` makes one and returns it.

    Attributes:
        history: name -> list of floats, one an epoch.
        epoch: the epochs' numbers, counted from 0.
        places: name -> the epochs that its values are of, in a second run counted on.
        params: the run's `verbose`, `epochs` and `steps`.

    Example:
        >>> history = History()
        >>> history.on_train_begin()
        >>> history.on_epoch_end(0, {"loss": 0.5})
        >>> history.history
        {'loss': [0.5]}
    """

    _state = ("epoch", "history", "places")

    def __init__(self) -> None:
        self.epoch: list[int] = []
        self.places: dict[str, list[int]] = {}
        self._history: dict[str, list[Any]] = {}
        self._last: Logs | None = None
        self._place = -1

    @property
    def history(self) -> dict[str, list[Any]]:
        """The values by name; reading this waits for the last epoch's."""
        self._take_last()
        return self._history

    @history.setter
    def history(self, value: dict[str, list[Any]]) -> None:
        self._last = None
        self._history = value
        self.places = {name: list(range(len(values))) for name, values in value.items()}

    def get_state(self) -> dict[str, Any]:
        history = {name: [*map(_plain, values)] for name, values in self.history.items()}
        return {"epoch": [*self.epoch], "history": history, "places": self.places}

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        # One epoch behind: the values of the epoch before are there by now, so that the device
        # goes from one epoch to the next without a pause.
        self._take_last()
        self.epoch.append(epoch)
        self._place = max(epoch, self._place + 1)  # a second run's epochs come after the first's
        self._last = Logs(logs or {})

    def _take_last(self) -> None:
        last, self._last = self._last, None
        for name, value in (last or {}).items():
            self._history.setdefault(name, []).append(value)
            self.places.setdefault(name, []).append(self._place)

    def to_frame(self) -> Any:
        """The values as a pandas data frame: a column for each metric, a row for each epoch.

        Where a metric has no value of an epoch (`validation_freq`), there is NaN.

        Raises:
            ImportError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise ImportError(
                "History.to_frame needs pandas: pip install pandas. The values are in "
                "history.history."
            ) from error
        columns = {
            name: pandas.Series(values, index=self.places[name], dtype=object).infer_objects()
            for name, values in self.history.items()
        }
        frame = pandas.DataFrame(columns)
        frame.index.name = "epoch"
        return frame

    def plot(self, metrics: Any = None, ax: Any = None) -> Any:
        """Draw the values by epoch: a panel for each metric, training and validation together.

        Args:
            metrics: the names to draw, without "val_"; all by default.
            ax: Matplotlib axes to draw into, one for each metric.

        Returns:
            The Matplotlib figure.

        Raises:
            ImportError: Matplotlib is not installed.
            ValueError: an unknown metric, too few axes, or there is nothing to draw yet.
        """
        history = self.history
        known = list(dict.fromkeys(name.removeprefix("val_") for name in history))
        names = [metrics] if isinstance(metrics, str) else list(metrics or known)
        for name in names:
            if name not in known:
                raise ValueError(
                    f"History.plot: there is no metric {name!r}; there are: "
                    f"{', '.join(known) or 'none'}."
                )
        if not names:
            raise ValueError("History.plot: there are no values yet. Train for an epoch first.")
        axes = _axes(len(names), ax)
        for name, panel in zip(names, axes, strict=True):
            for label, line in ((name, "-"), (f"val_{name}", "--")):
                if label in history:
                    epochs = [epoch + 1 for epoch in self.places[label]]
                    marker = "." if len(epochs) < 30 else None
                    panel.plot(epochs, history[label], line, marker=marker, label=label)
            panel.set_xlabel("epoch")
            panel.set_title(name)
            panel.legend()
        return axes[0].figure


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value


def _axes(count: int, given: Any) -> list[Any]:
    """Axes for so many panels: those given, or those of a new figure."""
    if given is None:
        try:
            from matplotlib import pyplot
        except ImportError as error:
            raise ImportError(
                "History.plot needs Matplotlib: pip install 'weft[plot]', or matplotlib itself."
            ) from error
        size = (5 * count, 3.5)
        _, made = pyplot.subplots(1, count, figsize=size, squeeze=False, layout="constrained")
        return list(made[0])
    axes = list(getattr(given, "flat", [given] if hasattr(given, "plot") else given))
    if len(axes) < count:
        raise ValueError(f"History.plot: {count} metrics need as many axes, got {len(axes)}.")
    return axes[:count]
