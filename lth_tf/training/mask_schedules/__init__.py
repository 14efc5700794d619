"""Mask schedules: when masks change inside a training, and how; one file each.

A schedule other than `fixed` is a strategy of its own (`--strategy=gradual`): each level is one
training from the initial weights, with masks that change while it runs. To add one, register a
`MaskSchedule` in a file of this folder, or in a user's package (`lth_tf.registry`).
"""

from lth_tf.registry import Registry
from lth_tf.training.mask_schedules.base import MaskPlan, MaskSchedule, Moment, Promise

__all__ = ["FIXED", "MASK_SCHEDULES", "MaskPlan", "MaskSchedule", "Moment", "Promise"]

FIXED = "fixed"
MASK_SCHEDULES: Registry[type[MaskSchedule]] = Registry("strategy", __name__)
