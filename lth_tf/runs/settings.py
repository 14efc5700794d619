"""Settings: how an experiment is run, as against what it is (its recipe, plan and seed)."""

import dataclasses
import numbers
import re

from lth_tf.errors import UserError, shortened
from lth_tf.machine import usable_cores

_RANGES = {"jobs": (1, 256), "threads": (0, 1_024), "checkpoint_every": (0, 10**9)}
_WHOLE = ("jobs", "threads")
_XLA = ("auto", "on", "off")


@dataclasses.dataclass(frozen=True)
class Settings:
    """How an experiment is run. Results depend on these at most in their last bits.

    Attributes:
        data_dir: TFDS's folder, its own default if None.
        distribution: how a training is spread over devices, by name.
        xla: "auto", "on" or "off".
        checkpoint_every: seconds between checkpoints inside a training.
        jobs: trainings that run at the same time, each in a process of its own.
        threads: threads of each process; 0 shares the machine's cores out, and is one thread on a
            cluster.
        cluster: the address of a Ray cluster whose machines run the trainings, as in host:6379, or
            "auto" for the one that this machine belongs to; None for this machine alone.
        gpu_share: the share of a GPU that each training has on a cluster with GPUs, as in 0.25;
            above 1, a whole number of GPUs.
    """

    data_dir: str | None = None
    distribution: str = "none"
    xla: str = "auto"
    checkpoint_every: float = 180.0
    jobs: int = 1
    threads: int = 0
    cluster: str | None = None
    gpu_share: float = 1.0

    @property
    def threads_per_job(self) -> int:
        """The threads of each process; 0 where one process may use all cores."""
        if self.cluster:
            return self.threads or 1
        if self.threads or self.jobs == 1:
            return self.threads
        return max(1, usable_cores() // self.jobs)

    def __post_init__(self) -> None:
        for name, (least, most) in _RANGES.items():
            self._check_number(name)
            value = getattr(self, name)
            if not least <= value <= most:
                raise UserError(
                    f"--{name}={shortened(str(value), 40)}: must be from {least} to {most:,}"
                )
        if self.xla not in _XLA:
            raise UserError(f"--xla={shortened(str(self.xla), 40)}: must be auto, on or off")
        self._check_number("gpu_share")
        if not (0 < self.gpu_share < 1 or self.gpu_share in range(1, 65)):
            raise UserError(
                f"--gpu_share={self.gpu_share:g}: must be above 0 and at most 1, or a whole number "
                "up to 64"
            )
        if self.cluster is not None:
            self._check_cluster()
        if self.jobs > 1 and self.distribution != "none":
            raise UserError(
                f"--jobs={self.jobs}: must be 1 with --distribution={self.distribution}, which "
                "gives each training all devices"
            )

    def _check_number(self, name: str) -> None:
        """Checks that a field is a number: flags such as --jobs=auto are no values in Python."""
        value, is_whole = getattr(self, name), name in _WHOLE
        if not isinstance(value, numbers.Integral if is_whole else numbers.Real):
            what = "a whole number" if is_whole else "a number"
            raise UserError(f"--{name}={shortened(str(value), 40)}: must be {what} in Python")

    def _check_cluster(self) -> None:
        if self.cluster != "auto" and not re.fullmatch(r"[\w.-]+:\d{1,5}", self.cluster):
            raise UserError(
                f"--cluster={shortened(self.cluster, 100)}: must be auto, or the address of a Ray "
                "cluster that this machine belongs to, as in host:6379"
            )
        if self.jobs > 1:
            raise UserError(
                f"--cluster={self.cluster}: must be left out with --jobs={self.jobs}; a cluster "
                "runs as many trainings as it has cores or GPUs for"
            )
        if self.distribution != "none":
            raise UserError(
                f"--cluster={self.cluster}: must be left out with "
                f"--distribution={self.distribution}, which gives each training all devices"
            )
