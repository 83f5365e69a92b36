"""The six models in PyTorch's language, and the training loop that both torch peers time."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.cases import (
    BLOCKS,
    HEADS,
    HIDDEN,
    LEARNING_RATE,
    LENGTH,
    RESNET_BLOCKS,
    VOCABULARY,
    WIDTH,
    Case,
)


class Unit(nn.Sequential):
    """Convolution and BatchNorm."""

    def __init__(self, c_in: int, c_out: int, size: int = 3, stride: int = 1):
        conv = nn.Conv2d(c_in, c_out, size, stride, padding=size // 2, bias=False)
        super().__init__(conv, nn.BatchNorm2d(c_out, eps=1e-3, momentum=0.01))


class ResidualBlock(nn.Module):
    def __init__(self, c_in: int, c_out: int, stride: int):
        super().__init__()
        self.a, self.b = Unit(c_in, c_out, 3, stride), Unit(c_out, c_out)
        self.skip = nn.Identity() if stride == 1 else Unit(c_in, c_out, 1, stride)

    def forward(self, x):
        return F.relu(self.skip(x) + self.b(F.relu(self.a(x))))


def _resnet20() -> nn.Module:
    parts: list[nn.Module] = [Unit(3, 16), nn.ReLU()]
    channels = 16
    for width, stride in RESNET_BLOCKS:
        parts.append(ResidualBlock(channels, width, stride))
        channels = width
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


class LastLSTM(nn.Module):
    """Torch's LSTM has a second bias: 512 parameters more than the other versions."""

    def __init__(self):
        super().__init__()
        self.lstm, self.out = nn.LSTM(64, 128, batch_first=True), nn.Linear(128, 10)

    def forward(self, x):
        return self.out(self.lstm(x)[0][:, -1])


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH, 1e-3), nn.LayerNorm(WIDTH, 1e-3)
        self.qkv, self.o = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, HIDDEN), nn.Linear(HIDDEN, WIDTH)

    def forward(self, x):
        n, t, _ = x.shape
        qkv = self.qkv(self.norm1(x)).view(n, t, 3, HEADS, WIDTH // HEADS)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.o(y.transpose(1, 2).reshape(n, t, WIDTH))
        return x + self.down(F.relu(self.up(self.norm2(x))))


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens = nn.Embedding(VOCABULARY, WIDTH)
        self.positions = nn.Parameter(0.05 * torch.randn(LENGTH, WIDTH))
        self.blocks = nn.Sequential(*(Block() for _ in range(BLOCKS)))
        self.norm, self.out = nn.LayerNorm(WIDTH, 1e-3), nn.Linear(WIDTH, VOCABULARY)

    def forward(self, x):
        return self.out(self.norm(self.blocks(self.tokens(x) + self.positions)))


def _mlp(*sizes: int) -> nn.Module:
    parts: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        parts += [nn.Linear(n_in, n_out), nn.ReLU()]
    return nn.Sequential(*parts[:-1])


def _cnn() -> nn.Module:
    convolutions = [
        *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),
    ]
    return nn.Sequential(*convolutions, nn.Flatten(), *_mlp(5 * 5 * 64, 128, 10))


MODELS = {
    "mlp": lambda: _mlp(784, 512, 512, 10),
    "mlp_small": lambda: _mlp(784, 64, 10),
    "cnn": _cnn,
    "resnet20": _resnet20,
    "lstm": LastLSTM,
    "transformer": Transformer,
}


def loop_way(name: str, case: Case, steps: int, compile_model: bool):
    """Returns a way (see ``_peer.report``), on up to ``steps`` batches, and the parameter count.

    Images are laid out channels first beforehand, as torch wants them.
    """
    torch.manual_seed(0)
    model = MODELS[name]()
    forward = torch.compile(model) if compile_model else model
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    x, y = case.data(steps)
    if len(case.x_shape) == 3:
        x = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    batches = case.batches(x, y.astype(np.int64))

    def loop(n: int) -> None:
        for x, y in batches[:n]:
            optimizer.zero_grad()
            logits = forward(torch.from_numpy(x))
            loss = F.cross_entropy(logits.flatten(0, -2), torch.from_numpy(y).flatten())
            loss.backward()
            optimizer.step()
        loss.item()

    return loop, sum(p.numel() for p in model.parameters())
