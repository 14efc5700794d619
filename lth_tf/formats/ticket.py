"""Ticket: a sparse network as masks and weights, in one file, for this program or any other.

TensorFlow is imported only to make or set a model; to write and read tickets NumPy is enough.
"""

import dataclasses
import html
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from lth_tf import reading
from lth_tf.arrays import Arrays
from lth_tf.errors import UserError
from lth_tf.formats import ticket_file
from lth_tf.formats.formats import FORMATS, Format
from lth_tf.formats.ticket_checks import check, plain_json
from lth_tf.formats.ticket_file import MASK, TRAINED, WEIGHTS
from lth_tf.importing import names_function
from lth_tf.recipe import Recipe

if TYPE_CHECKING:
    import tf_keras as keras

    from lth_tf.formats.fresh import Logits

_WAY_OUT = "build the model yourself, then call ticket.apply(your_model)"


@dataclasses.dataclass(frozen=True, eq=False)
class Ticket:
    """A sparse network: which weights it has, where they start, and where training took them.

    Attributes:
        masks: boolean arrays by kernel name, `layer/kernel`, in the kernels' shapes; True where
            the weight remains.
        weights: arrays by name, `layer/weight`, that the ticket is trained from (mask * theta_0,
            or theta_k): kernels, pruned weights zero, biases and batch normalisation's statistics.
        trained: the weights at the end of the training, of the same names, shapes and types,
            pruned ones zero; None where they are not known.
        metadata: what is known of its training, as JSON has it; `docs/ticket.md` lists the keys.
        make: the function that makes a user's network, where it is known; no file has it.

    Raises:
        UserError: if masks, weights and trained weights do not fit each other; names the tensor.
    """

    masks: Arrays
    weights: Arrays
    trained: Arrays | None = None
    metadata: dict[str, Any] = dataclasses.field(default_factory=dict)
    make: "Callable[[], keras.Model] | None" = None

    _where: ClassVar[str] = ""  # its file, for messages

    def __post_init__(self) -> None:
        object.__setattr__(self, "metadata", plain_json(self.metadata))
        for group in ("masks", "weights", "trained"):
            if getattr(self, group) is not None:
                arrays = {name: np.asarray(a) for name, a in getattr(self, group).items()}
                object.__setattr__(self, group, arrays)
        check(self.masks, self.weights, self.trained)

    def __repr__(self) -> str:
        left = sum(int(mask.sum()) for mask in self.masks.values())
        size = sum(mask.size for mask in self.masks.values())
        known = [
            f"{k} {self.metadata[k]}" for k in ("level", "arm", "replicate") if k in self.metadata
        ]
        return f"<Ticket {', '.join([*known, ''])}{left:,} of {size:,} kernel weights>"

    def _repr_html_(self) -> str:
        """Shows what is left of each kernel, in notebooks."""
        rows = "".join(
            f"<tr><td>{html.escape(name)}</td><td>{mask.sum():,}</td><td>{mask.size:,}</td>"
            f"<td>{mask.mean():.1%}</td></tr>"
            for name, mask in self.masks.items()
        )
        head = "<tr><th>kernel</th><th>remaining</th><th>of</th><th>density</th></tr>"
        return f"<p>{html.escape(repr(self))}</p><table>{head}{rows}</table>"

    @property
    def recipe(self) -> Recipe:
        """The recipe that it was found with.

        Raises:
            UserError: if the metadata have none.
        """
        fields = self.metadata.get("recipe")
        return Recipe.from_json(fields, f"{self._where}metadata")

    @cached_property
    def checksum(self) -> str:
        """What names the ticket, SHA-256 in hex: the checksum of all that its file holds."""
        return ticket_file.identity(self._groups, self.metadata)

    def save(self, path: Path | str) -> None:
        """Writes the ticket as a safetensors file, whole or not at all.

        Args:
            path: the file, by habit `NAME.safetensors`; one that exists is replaced.

        Raises:
            UserError: if it cannot be written.
        """
        ticket_file.write(Path(path), self._groups, self.metadata)

    @classmethod
    def load(cls, path: Path | str) -> "Ticket":
        """Reads a ticket that `save` wrote, and checks all of it.

        Args:
            path: the file.

        Raises:
            UserError: if it is missing, no ticket, of a newer format, or anything in it is not
                what was written or does not fit the rest; names the file and the tensor.
        """
        path = Path(path)
        try:
            groups, metadata = ticket_file.read(path)
            ticket = cls(groups[MASK], groups[WEIGHTS], groups[TRAINED] or None, metadata)
        except UserError as error:
            reason = str(error).removeprefix(f"{path}: ")
            raise UserError(f"{path}: {reason}") from error
        object.__setattr__(ticket, "_where", f"{path}: ")
        return ticket

    def model(
        self,
        trained: bool = True,
        make: "Callable[[], keras.Model] | None" = None,
        keras: int = 2,
    ) -> "keras.Model":
        """Builds the network, as a plain float32 Keras model with the ticket's weights.

        A network of the paper's takes images with values 0-255, [n, height, width, channels], and
        returns logits, float32 [n, classes].

        Args:
            trained: whether it has the trained weights, or those that the ticket starts from.
            make: the function that makes a user's network: the recipe merely has its name,
                and what a file names is not imported.
            keras: 2 for a model of tf_keras, 3 for one of Keras 3, where its pruned weights are
                zero as well.

        Raises:
            UserError: if there is no such network, there are no trained weights, or a layer has no
                counterpart in Keras 3.
        """
        from lth_tf.data import ImageInfo
        from lth_tf.data.image_data import ImageFields
        from lth_tf.models import NETWORKS
        from lth_tf.models.keras_3 import to_keras_3
        from lth_tf.training.trainer import build_model

        make = make or self.make
        name, info = self._field("recipe", "model"), None
        if not make and not names_function(name):
            if name not in NETWORKS:
                raise UserError(
                    f"{self._where}metadata: recipe.model must be one of {', '.join(NETWORKS)} "
                    f"to build it, found {name}; {_WAY_OUT}"
                )
            for key in ("image_shape", "classes"):
                self._field("data", key)
            where = f"{self._where}metadata"
            data = reading.conform(where, self.metadata["data"], ImageFields, "data")
            # A ticket from before images could be standardised has neither.
            channels = (tuple(values or ()) for values in (data.mean, data.deviation))
            info = ImageInfo(data.image_shape, data.classes, 0, 0, *channels)
        model = build_model(self.recipe, info, 0, make)
        self.apply(model, trained)
        return to_keras_3(model) if keras == 3 else model

    def apply(self, model: "keras.Model", trained: bool = True) -> None:
        """Sets a model's weights and, where its layers are masked, their masks.

        A plain model has the pruned weights at zero, and would move them if it were trained;
        `lth_tf.mask_layers` makes one that does not.

        Args:
            model: a plain Keras model, or one that `lth_tf.mask_layers` made, whose weights have
                the ticket's names (`lth_tf.named_weights`) and shapes.
            trained: whether it gets the trained weights, or those that the ticket starts from.

        Raises:
            UserError: if the model does not fit, which is then left as it was; names the weight.
        """
        from lth_tf.pruning.wrapper import masked_kernels, set_masks
        from lth_tf.training.rewind import set_weights

        weights = self.trained if trained else self.weights
        if weights is None:
            raise UserError(
                f"{self._where}{TRAINED}: the ticket has no trained weights; use trained=False"
            )
        _check_model(model, weights)
        masked = masked_kernels(model)
        if masked:
            bare = [name for name in self.masks if name not in masked]
            if bare:
                raise UserError(
                    f"{MASK}:{bare[0]}: its layer must be masked as others of the model are; "
                    "see lth_tf.mask_layers"
                )
            set_masks(model, self.masks)
        set_weights(model, weights)

    @property
    def _groups(self) -> dict[str, Arrays]:
        return {MASK: self.masks, WEIGHTS: self.weights, TRAINED: self.trained or {}}

    def _field(self, group: str, name: str) -> Any:
        try:
            return self.metadata[group][name]
        except (KeyError, TypeError):
            raise UserError(
                f"{self._where}metadata: has no {group}.{name} to build it from; {_WAY_OUT}"
            ) from None


def _check_model(model: "keras.Model", weights: Arrays) -> None:
    """Checks that a model and a ticket have the same weights, in the model's order."""
    from lth_tf.pruning.kernels import named_weights

    variables = named_weights(model)
    for name, variable in variables.items():
        if name not in weights:
            raise UserError(
                f"{name}: the model has this weight, the ticket has not; layers without a name are "
                "numbered by Keras, and the ticket has those numbers only in ticket.model()"
            )
        found, wanted = tuple(variable.shape), weights[name].shape
        if found != wanted:
            raise UserError(f"{name}: must have shape {wanted} in the model, found {found}")
    for name in weights:
        if name not in variables:
            raise UserError(f"{name}: the ticket has this weight, the model has not")


def load_ticket(path: str, threads: int, trained: bool) -> "Logits":
    """Loads a ticket and builds its network, compiled as one function; see `Format`."""
    import tensorflow as tf

    from lth_tf.formats.ticket import Ticket

    model = Ticket.load(path).model(trained)
    function = tf.function(lambda images: model(images, training=False), reduce_retracing=True)
    return lambda images: function(tf.constant(images)).numpy()


# This program's own format, which needs tfmot.
FORMATS.register(
    Format(
        name="ticket",
        entry="ticket.safetensors",
        usage='lth_tf.Ticket.load("ticket.safetensors").model()',
        write=lambda source, path: source.make_ticket().save(path),
        load=load_ticket,
        place=4,
    )
)
