"""`Bidirectional`: a recurrent layer run in both directions."""

from __future__ import annotations

from typing import Any

import jax

from weft.engine import ShapeError
from weft.layers.layer import Layer, set_mask
from weft.layers.serialization import deserialize, serialize
from weft.ops import concatenate, flip

__all__ = ["Bidirectional"]

_MODES = ("concat", "sum", "mul", "ave", None)
_NEEDS = ("go_backwards", "return_sequences", "return_state", "stateful", "call", "get_config")


class Bidirectional(Layer):
    """A recurrent layer from the first step to the last, and one from the last to the first.

    Args:
        layer: an `RNN`, `LSTM`, `GRU` and so on, or any layer with `go_backwards`,
            `return_sequences`, `return_state` and `stateful`. A layer like it, and not it itself,
            becomes `forward_layer`. With `return_sequences` a skipped step's output is 0.
        merge_mode: how the two outputs become one: "concat", "sum", "mul", "ave" (the mean); None
            for a tuple of both.
        weights: first values of the weights, a list.
        backward_layer: the layer of the other direction; one like `layer` by default, with other
            weights.
        kwargs: `name`, `dtype`, `trainable` and `activity_regularizer`.

    Call arguments:
        sequences: (batch, steps, features...).
        initial_state: the forward layer's first states, and then the backward layer's.
        mask: bool, (batch, steps), handed to both.
        training: handed to both.

    Returns:
        The merged output; of the steps in their order, with `return_sequences`. With `return_state`
        a tuple of that and of the forward and the backward layer's states.

    Raises:
        ValueError: what is no recurrent layer, two that do not go in different directions or
            return different things, an unknown merge_mode.
        ShapeError: an odd number of initial states, and what the layers refuse.

    Example:
        >>> import weft
        >>> both = weft.layers.Bidirectional(weft.layers.LSTM(4, return_sequences=True))
        >>> both(weft.ops.ones((2, 5, 3))).shape
        (2, 5, 8)

    Reference: Schuster & Paliwal, Bidirectional recurrent neural networks (1997).
    """

    def __init__(
        self,
        layer: Any,
        merge_mode: str | None = "concat",
        weights: Any = None,
        backward_layer: Any = None,
        **kwargs: Any,
    ) -> None:
        for one in (layer, backward_layer):
            if one is not None or one is layer:
                _check_layer(one)
        if merge_mode not in _MODES:
            raise ValueError(
                f"Bidirectional: merge_mode is one of {list(_MODES)}, got {merge_mode!r}."
            )
        super().__init__(**kwargs)
        self.forward_layer = _like(layer, "forward_")
        if backward_layer is None:
            other = {"go_backwards": not layer.go_backwards}
            self.backward_layer = _like(layer, "backward_", **other)
        else:
            self.backward_layer = backward_layer
        _check_pair(self.forward_layer, self.backward_layer)
        if layer.return_sequences:  # so that a skipped step adds nothing when the two are merged
            for one in (self.forward_layer, self.backward_layer):
                one.zero_output_for_mask = True
        self.merge_mode = merge_mode
        self.supports_masking = True
        self._first = weights

    @property
    def return_sequences(self) -> bool:
        """Whether the output of each step is returned."""
        return self.forward_layer.return_sequences

    @property
    def return_state(self) -> bool:
        """Whether the last states are returned too."""
        return self.forward_layer.return_state

    @property
    def stateful(self) -> bool:
        """Whether a batch goes on from the last states of the one before."""
        return self.forward_layer.stateful

    @property
    def states(self) -> Any:
        """The states that stateful layers keep, the forward layer's first; None of others."""
        both = [self.forward_layer.states, self.backward_layer.states]
        return None if both[0] is None else [*both[0], *both[1]]

    def reset_state(self) -> None:
        """Begin anew: stateful layers' states become zeros."""
        self.reset_states()

    def reset_states(self) -> None:
        """Begin anew: stateful layers' states become zeros."""
        self.forward_layer.reset_state()
        self.backward_layer.reset_state()

    def build(self, sequences_shape: Any) -> None:
        for layer in (self.forward_layer, self.backward_layer):
            if not layer.built:
                layer.build(sequences_shape)
        if self._first is not None:
            self.set_weights(self._first)
            self._first = None

    def call(
        self, sequences: Any, initial_state: Any = None, mask: Any = None, training: Any = None
    ) -> Any:
        halves: list[Any] = [None, None]
        if initial_state is not None:
            leaves = jax.tree.leaves(initial_state)
            half = len(leaves) // 2
            if len(leaves) % 2:
                raise ShapeError(
                    "expected the first states of two layers, the forward one's first, got "
                    f"{len(leaves)} states."
                )
            halves = [leaves[:half], leaves[half:]]
        results = [
            layer(sequences, initial_state=states, mask=mask, training=training)
            for layer, states in zip(self._both(), halves, strict=True)
        ]
        states: list[Any] = []
        if self.return_state:
            states = [*results[0][1:], *results[1][1:]]
            results = [result[0] for result in results]
        forward, backward = results
        if self.return_sequences:
            backward = flip(backward, 1)
        outputs = self._merged(forward, backward)
        if not self.return_state:
            return outputs
        outputs = outputs if self.merge_mode is None else (outputs,)
        if mask is not None and self.return_sequences:
            for output in outputs:
                set_mask(output, mask)
        return (*outputs, *states)

    def _both(self) -> tuple[Any, Any]:
        return self.forward_layer, self.backward_layer

    def _merged(self, forward: Any, backward: Any) -> Any:
        match self.merge_mode:
            case "concat":
                return concatenate([forward, backward], -1)
            case "sum":
                return forward + backward
            case "ave":
                return (forward + backward) / 2
            case "mul":
                return forward * backward
        return forward, backward

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        own = mask if self.return_sequences else None
        if self.merge_mode is None:
            return own, own
        return own

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "merge_mode": self.merge_mode,
            "layer": serialize(self.forward_layer),
            "backward_layer": serialize(self.backward_layer),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """The layer of a config, those inside made from theirs."""
        inner = {
            k: deserialize(config[k], custom_objects)
            for k in ("layer", "backward_layer")
            if config.get(k) is not None
        }
        return cls(**{**config, **inner})


def _check_layer(layer: Any) -> None:
    missing = [name for name in _NEEDS if not hasattr(layer, name)]
    if isinstance(layer, type) or not isinstance(layer, Layer) or missing:
        hint = " Make one of it first, with ()." if isinstance(layer, type) else ""
        raise ValueError(
            "Bidirectional takes a recurrent layer (RNN, LSTM, ...; one that has "
            f"{', '.join(_NEEDS)}), got {layer!r}.{hint}"
        )


def _check_pair(forward: Any, backward: Any) -> None:
    if forward.go_backwards == backward.go_backwards:
        raise ValueError(
            "Bidirectional: one layer must go backwards and the other not, got "
            f"go_backwards={forward.go_backwards} of both. Give backward_layer go_backwards="
            f"{not forward.go_backwards}."
        )
    for name in ("return_sequences", "return_state", "stateful"):
        one, other = getattr(forward, name), getattr(backward, name)
        if one != other:
            raise ValueError(
                f"Bidirectional: the two layers must have the same {name}, got {one} and {other}."
            )


def _like(layer: Any, prefix: str, **changes: Any) -> Any:
    """A new layer of the same class and config, named after its direction."""
    config = {**layer.get_config(), **changes}
    config["name"] = prefix + layer.name.removeprefix(prefix)
    return type(layer).from_config(config)
