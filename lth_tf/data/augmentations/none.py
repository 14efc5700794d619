"""`none`: images as they are."""

from lth_tf.data.augmentations import AUGMENTATIONS, Augmentation

AUGMENTATIONS.register(Augmentation("none", 0, lambda images, draws: images, place=1))
