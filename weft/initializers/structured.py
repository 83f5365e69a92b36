"""Initial values with a structure: orthogonal matrices, and the waves of a Fourier transform."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from weft.engine.names import near
from weft.initializers.base import Initializer, array_of, checked
from weft.initializers.random import RandomInitializer

__all__ = ["STFT", "Orthogonal"]


class Orthogonal(RandomInitializer):
    """A random matrix with orthonormal rows or columns (whichever are fewer), times `gain`.

    A weight of more axes is that matrix of shape (product of all but the last, last), reshaped.
    Every such matrix is equally likely: it is the Q of a normal matrix's decomposition QR in which
    the diagonal of R is positive.

    Args:
        gain: a number.
        seed: an int, a SeedGenerator, or None.

    Raises:
        ValueError: an argument that is none of these, or on a call with a shape of fewer than two
            axes.

    Example:
        >>> q = Orthogonal(seed=1)((2, 2))
        >>> bool(np.allclose(q @ q.T, np.eye(2), atol=1e-6))
        True

    Reference: Saxe, McClelland & Ganguli, Exact Solutions to the Nonlinear Dynamics of Learning
    in Deep Linear Neural Networks (2014); Mezzadri, How to Generate Random Matrices from the
    Classical Compact Groups (2007), section 5.
    """

    def __init__(self, gain: float = 1.0, seed: Any = None) -> None:
        super().__init__(seed)
        self.gain = checked(self, "gain", gain)

    def values(self, shape: tuple[int, ...]) -> Any:
        if len(shape) < 2:
            raise ValueError(
                f"Orthogonal needs a shape of two or more axes; the shape asked for is {shape}."
            )
        rows, columns = math.prod(shape[:-1]), shape[-1]
        tall = self.generator().standard_normal((max(rows, columns), min(rows, columns)))
        q, r = np.linalg.qr(tall)
        q *= np.where(np.diag(r) < 0, -self.gain, self.gain)
        return (q if rows >= columns else q.T).reshape(shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "gain": self.gain}


class STFT(Initializer):
    """The kernel of a convolution that is a short-time Fourier transform, real or imaginary part.

    At time t of a frame of n steps and at bin k of the m there are, it is w(t) cos(2πtk/N) or
    -w(t) sin(2πtk/N), N = 2(m - 1), with the window w. The shape asked for is (n, 1, m).

    Args:
        side: "real" or "imag".
        window: a name of `scipy.signal.windows`, an array of n values, or None for w = 1.
        scaling: "density" divides w by √Σw², "spectrum" by Σ|w|, None by nothing. Without a window
            nothing is scaled.
        periodic: whether w is one period of a periodic function, or symmetric.

    Raises:
        ValueError: an argument that is none of these, or on a call with another shape.

    Example:
        >>> STFT("real", window=None)((4, 1, 3))[:, 0].round(3).tolist()
        [[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [1.0, -1.0, 1.0], [1.0, -0.0, -1.0]]
    """

    def __init__(
        self,
        side: str = "real",
        window: Any = "hann",
        scaling: str | None = "density",
        periodic: bool = False,
    ) -> None:
        if side not in ("real", "imag"):
            raise ValueError(f"STFT: side is 'real' or 'imag', got {side!r}.")
        if scaling not in ("density", "spectrum", None):
            raise ValueError(f"STFT: scaling is 'density', 'spectrum' or None, got {scaling!r}.")
        if window is not None and not isinstance(window, str):
            try:
                window = np.asarray(array_of(window), "float64")
            except (TypeError, ValueError):
                window = np.asarray(np.nan)
            if window.ndim != 1:
                raise ValueError("STFT: window is a name, an array of one axis, or None.")
        self.side = side
        self.window = window
        self.scaling = scaling
        self.periodic = periodic
        if isinstance(window, str):
            self._window(4)  # an unknown name is refused here

    def _window(self, length: int) -> Any:
        if not isinstance(self.window, str):
            return self.window
        from scipy.signal import windows

        try:
            return windows.get_window(self.window, length, fftbins=self.periodic)
        except ValueError as error:
            raise ValueError(
                f"STFT: no window of scipy.signal.windows is {self.window!r} alone ({error}). "
                f"{near(self.window, windows.__all__)}"
            ) from error

    def values(self, shape: tuple[int, ...]) -> Any:
        if len(shape) != 3 or shape[1] != 1 or shape[2] < 2:
            raise ValueError(
                "STFT makes kernels of shape (length of a frame, 1, number of bins), two bins or "
                f"more; the shape asked for is {shape}."
            )
        length, _, bins = shape
        angle = math.pi / (bins - 1) * np.outer(np.arange(length), np.arange(bins))
        waves = np.cos(angle) if self.side == "real" else -np.sin(angle)
        if self.window is not None:
            window = self._window(length)
            if len(window) != length:
                raise ValueError(
                    f"STFT: the window has {len(window)} values, and the frame {length} steps."
                )
            if self.scaling is not None:
                window = window / np.linalg.norm(window, 2 if self.scaling == "density" else 1)
            waves *= window[:, None]
        return waves[:, None]

    def get_config(self) -> dict[str, Any]:
        window = self.window
        return {
            "side": self.side,
            "window": window.tolist() if isinstance(window, np.ndarray) else window,
            "periodic": self.periodic,
            "scaling": self.scaling,
        }
