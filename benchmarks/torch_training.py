"""A small network in PyTorch, trained with PyTorch's cross_entropy and with softgrad's: the same losses, and the time.

    python benchmarks/torch_training.py

The network classifies scikit-learn's digits. Below it the loss and its gradient alone, as more classes make them the larger
part of a step. All in turn, round after round, on one thread; the shortest time counts. pip install '.[bench]'.
"""

import time
from collections.abc import Callable
from typing import Any

import torch
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits

import softgrad as sg
import softgrad.torch

CLASSES, HIDDEN = 10, 64
EPOCHS, BATCH, RATE, MOMENTUM = 5, 64, 0.1, 0.9
ROUNDS = 10
LOGITS = [(64, 10), (512, 1000), (64, 32000)]

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
LIBRARIES: dict[str, Loss] = {
    "PyTorch": torch.nn.functional.cross_entropy,
    "softgrad": softgrad.torch.cross_entropy,
}


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """(1797, 64) grey levels in [0, 1], float32, and the digits that they show."""
    x, labels = load_digits(return_X_y=True)
    return torch.from_numpy(x / 16.0).float(), torch.from_numpy(labels)


def train(loss_of: Loss, x: torch.Tensor, labels: torch.Tensor) -> list[float]:
    """The loss of every batch, of a network with one hidden layer, by stochastic gradient descent."""
    generator = torch.Generator().manual_seed(0)
    sizes = [(HIDDEN, x.shape[1]), (HIDDEN,), (CLASSES, HIDDEN), (CLASSES,)]
    parameters = [(0.1 * torch.randn(size, generator=generator)).requires_grad_() for size in sizes]
    w1, b1, w2, b2 = parameters
    optimiser = torch.optim.SGD(parameters, lr=RATE, momentum=MOMENTUM)
    losses = []
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(x), generator=generator).split(BATCH):
            logits = torch.relu(x[batch] @ w1.T + b1) @ w2.T + b2
            loss = loss_of(logits, labels[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.detach())
    return torch.stack(losses).tolist()


def step(loss_of: Loss, logits: torch.Tensor, labels: torch.Tensor) -> Any:
    """The loss and its gradient in the logits."""
    loss = loss_of(logits, labels)
    return torch.autograd.grad(loss, logits)


def shortest(run: Callable[..., Any], *args: Any) -> dict[str, float]:
    """Seconds of run(loss, *args) for each library."""
    seconds = dict.fromkeys(LIBRARIES, float("inf"))
    for _ in range(ROUNDS):
        for name, loss in LIBRARIES.items():
            run(loss, *args)  # warms the caches up
            start = time.perf_counter()
            run(loss, *args)
            seconds[name] = min(seconds[name], time.perf_counter() - start)
    return seconds


def main() -> None:
    torch.set_num_threads(1)
    sg.set_num_threads(1)
    x, labels = digits()
    found = {f"training, {EPOCHS} epochs": shortest(train, x, labels)}
    for rows, classes in LOGITS:
        logits = torch.randn(rows, classes, requires_grad=True)
        targets = torch.randint(classes, (rows,))
        found[f"loss and gradient, {rows, classes}"] = shortest(step, logits, targets)

    table = Table(box=SIMPLE, pad_edge=False)
    table.add_column("float32, one thread")
    for head in (*(f"{name}, us" for name in LIBRARIES), "x"):
        table.add_column(head, justify="right")
    for name, seconds in found.items():
        theirs, ours = (seconds[library] * 1e6 for library in LIBRARIES)
        table.add_row(name, f"{theirs:.0f}", f"{ours:.0f}", f"{theirs / ours:.2f}")
    print("x: the time with PyTorch's cross_entropy over that with softgrad's")
    Console().print(table)
    losses = {name: train(loss, x, labels) for name, loss in LIBRARIES.items()}
    apart = max(abs(a - b) for a, b in zip(*losses.values(), strict=True))
    first, last = losses["softgrad"][0], losses["softgrad"][-1]
    print(f"{len(losses['softgrad'])} losses, {first:.4f} to {last:.4f}, at most {apart:.1e} apart")


if __name__ == "__main__":
    main()
