"""PyTorch's contestants: its usual loop, that loop with a fused optimizer, and torch.compile."""

import time
from collections.abc import Iterator

import numpy as np
import torch
from torch.nn import functional

from lth_tf.benchmark.task import VALIDATION_BATCH, Task
from lth_tf.benchmark.times import Times, add_validation
from lth_tf.benchmark.torch_network import TorchNetwork
from lth_tf.recipe import Recipe

_LAYOUTS = {"channels first": torch.contiguous_format, "channels last": torch.channels_last}
_PRECISIONS = {"mixed_bfloat16": torch.bfloat16, "mixed_float16": torch.float16}
_PADDING = 4
_EPSILON = 1e-7  # Keras's, for Adam


class TorchLoop:
    """The usual training loop; of the two layouts of images in memory, the faster.

    Attributes:
        title: what it is, for a person.
    """

    def __init__(self, task: Task, fused: bool = False, compiled: bool = False) -> None:
        """Makes the network, and chooses its layout by a short trial of each.

        Args:
            task: what to train.
            fused: whether the optimizer updates all weights in one operation.
            compiled: whether `torch.compile` compiles the network.
        """
        torch.set_num_threads(task.threads)
        self._task, self._fused, self._compiled = task, fused, compiled
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._images, self._labels = self._put(task.images, task.labels)
        self._validation = self._put(*task.validation)
        self._half = _PRECISIONS.get(task.recipe.precision)
        layouts = list(_LAYOUTS) if task.convolutional else ["channels first"]
        trials = {}
        for layout in layouts:
            self._start(layout)
            self._seconds(2)
            trials[layout] = self._seconds(max(2, task.warm_up))
        chosen = min(trials, key=trials.__getitem__)
        self._start(chosen)
        parts = ["PyTorch", "torch.compile" if compiled else "eager"]
        parts += ["fused optimizer"] * fused + [chosen] * task.convolutional
        self.title = f"{parts[0]} {', '.join(parts[1:])}"
        self.validate()  # to warm up

    def validate(self) -> tuple[float, float]:
        """Returns the validation examples' mean loss and accuracy."""
        self._network.eval()
        losses, correct = [], []
        parts = (array.split(VALIDATION_BATCH) for array in self._validation)
        with torch.no_grad():
            for images, labels in zip(*parts, strict=True):
                with self._autocast():
                    logits = self._network(images)
                    losses.append(functional.cross_entropy(logits, labels, reduction="sum"))
                correct.append((logits.argmax(1) == labels).sum())
        self._network.train()
        count = len(self._validation[1])
        return float(sum(losses)) / count, float(sum(correct)) / count

    def measure(self) -> Times:
        """Returns the seconds of an iteration."""
        self._seconds(self._task.warm_up)
        seconds = self._seconds(self._task.iterations) / self._task.iterations
        return add_validation(seconds, self.validate, self._task.recipe.eval_every)

    def _put(self, images: np.ndarray, labels: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        images, labels = torch.tensor(images), torch.tensor(labels).long()
        return images.to(self._device), labels.to(self._device)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self._device, self._half, enabled=self._half is not None)

    def _start(self, layout: str) -> None:
        network = TorchNetwork(self._task.layers, _LAYOUTS[layout]).to(self._device)
        self._optimizer = _optimizer(self._task.recipe, network, self._fused)
        self._network = torch.compile(network) if self._compiled else network

    def _seconds(self, iterations: int) -> float:
        scaler = torch.amp.GradScaler(self._device, enabled=self._half is torch.float16)
        self._wait()
        began = time.perf_counter()
        for images, labels in self._batches(iterations):
            self._optimizer.zero_grad()
            with self._autocast():
                loss = functional.cross_entropy(self._network(images), labels)
            scaler.scale(loss).backward()
            scaler.step(self._optimizer)
            scaler.update()
        self._wait()
        return time.perf_counter() - began

    def _batches(self, iterations: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        rows = torch.from_numpy(self._task.batches[:iterations]).to(self._device)
        augmented = self._task.recipe.augment == "flip_crop"
        for batch in rows:
            images = self._images[batch]
            yield _flip_crop(images) if augmented else images, self._labels[batch]

    def _wait(self) -> None:
        if self._device == "cuda":
            torch.cuda.synchronize()


def _optimizer(recipe: Recipe, network: TorchNetwork, fused: bool) -> torch.optim.Optimizer:
    parameters = list(network.parameters())
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.dim() <= 1]},
    ]
    if recipe.optimizer == "adam":
        return torch.optim.Adam(groups, recipe.learning_rate, eps=_EPSILON, fused=fused)
    momentum = 0.9 if recipe.optimizer == "momentum" else 0.0
    return torch.optim.SGD(groups, recipe.learning_rate, momentum, fused=fused)


def _flip_crop(images: torch.Tensor) -> torch.Tensor:
    """Does what `lth_tf.data.augmentations.flip_crop` does, for uint8 images [n, h, w, c]."""
    size, height, width, _ = images.shape
    device = images.device
    top, left = torch.randint(2 * _PADDING + 1, (2, size, 1), device=device)
    flip = torch.randint(2, (size, 1), device=device, dtype=torch.bool)
    rows = top + torch.arange(height, device=device)
    columns = left + torch.arange(width, device=device)
    columns = torch.where(flip, width + 2 * _PADDING - 1 - columns, columns)
    padded = functional.pad(images, (0, 0, *[_PADDING] * 4))
    each = torch.arange(size, device=device)[:, None, None]
    return padded[each, rows[:, :, None], columns[:, None, :]]
