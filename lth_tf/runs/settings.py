"""Settings: how an experiment is run, as against what it is (its recipe, plan and seed)."""

import dataclasses

from lth_tf.errors import UserError, shortened
from lth_tf.machine import usable_cores

_RANGES = {"jobs": (1, 256), "threads": (0, 1_024), "checkpoint_every": (0, 10**9)}


@dataclasses.dataclass(frozen=True)
class Settings:
    """How an experiment is run. Results depend on these at most in their last bits.

    Attributes:
        data_dir: TFDS's folder, its own default if None.
        distribution: how a training is spread over devices, by name.
        xla: "auto", "on" or "off".
        checkpoint_every: seconds between checkpoints inside a training.
        jobs: trainings that run at the same time, each in a process of its own.
        threads: threads of each process; 0 shares the machine's cores out.
    """

    data_dir: str | None = None
    distribution: str = "none"
    xla: str = "auto"
    checkpoint_every: float = 180.0
    jobs: int = 1
    threads: int = 0

    @property
    def threads_per_job(self) -> int:
        """The threads of each process; 0 where one process may use all cores."""
        if self.threads or self.jobs == 1:
            return self.threads
        return max(1, usable_cores() // self.jobs)

    def __post_init__(self) -> None:
        for name, (least, most) in _RANGES.items():
            value = getattr(self, name)
            if not least <= value <= most:
                raise UserError(
                    f"--{name}={shortened(str(value), 40)}: must be from {least} to {most:,}"
                )
        if self.jobs > 1 and self.distribution != "none":
            raise UserError(
                f"--jobs={self.jobs}: must be 1 with --distribution={self.distribution}, which "
                "gives each training all devices"
            )
