"""Fixed masks: a training keeps those that it begins with (Section 2)."""

from lth_tf.training.mask_schedules import FIXED, MASK_SCHEDULES
from lth_tf.training.mask_schedules.base import Masks, MaskSchedule, Moment, Promise


@MASK_SCHEDULES.register
class Fixed(MaskSchedule):
    """Masks that never change."""

    name = FIXED
    place = 0
    help = "masks are set between trainings"
    promise = Promise.UNCHANGED

    @property
    def updates(self) -> tuple[int, ...]:
        """None."""
        return ()

    def update(self, moment: Moment) -> Masks:
        """Returns the masks as they are."""
        return dict(moment.masks)
