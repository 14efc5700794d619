"""The cluster that TF_CONFIG names: checked, and waited for, before TensorFlow connects to it.

TensorFlow itself waits an hour for an address that does not answer, and does not say which.
"""

import contextlib
import dataclasses
import os
import re
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Annotated

import msgspec

from lth_tf.errors import UserError, shortened
from lth_tf.reading import conform, parsed_json

_EXAMPLE = (
    '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", "index": 0}}'
)
_WANTED = f"--distribution=multi_worker: TF_CONFIG must be as in {_EXAMPLE}, but "
_WAIT, _TRY = 45.0, 3.0  # seconds, for all workers and for one answer
_ADDRESS = re.compile(r"[^\s:]\S*:(\d{1,5})")


class _Task(msgspec.Struct):
    """This worker's place."""

    type: str
    index: Annotated[int, msgspec.Meta(ge=0)] | Annotated[str, msgspec.Meta(pattern=r"^\d{1,9}$")]


class _Config(msgspec.Struct):
    """What TF_CONFIG has; there may be more, which TensorFlow reads."""

    cluster: dict[str, list]
    task: _Task


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The workers of a training.

    Attributes:
        address: this one's.
        others: those of the others.
    """

    address: str
    others: Sequence[str]

    def wait_for_workers(self, seconds: float = _WAIT) -> None:
        """Returns when all other workers answer, and answers them as long.

        Args:
            seconds: how long it waits.

        Raises:
            UserError: if one does not answer; names its address.
        """
        end = time.monotonic() + seconds
        silent = dict.fromkeys(self.others, "no answer")
        with _listening(self.address):
            for address in self.others:  # side by side: an unknown name may take long to be refused
                threading.Thread(target=_try, args=(address, silent, end), daemon=True).start()
            while silent and time.monotonic() < end:
                time.sleep(0.05)
        if silent:
            why = ", ".join(f"{address} ({reason})" for address, reason in dict(silent).items())
            raise UserError(
                f"--distribution=multi_worker: no worker answers within {seconds:g} seconds at "
                f"{why}; start all workers of TF_CONFIG within that time, at addresses that reach "
                "each other"
            )


def read_cluster() -> Cluster:
    """Returns the cluster that the environment variable TF_CONFIG names.

    Raises:
        UserError: if it does not name at least two workers and this one's place among them.
    """
    text = os.environ.get("TF_CONFIG")
    if text is None:
        raise UserError(f"{_WANTED}is missing")
    try:
        config = conform("it", parsed_json("it", text), _Config)
    except UserError as error:
        raise UserError(f"{_WANTED}{error}") from None
    cluster, task, index = config.cluster, config.task.type, int(config.task.index)
    if others := cluster.keys() - {"chief", "worker"}:
        raise UserError(f"{_WANTED}has the tasks {', '.join(sorted(others))}; remove them")
    addresses = [address for workers in cluster.values() for address in workers]
    for address in addresses:
        found = isinstance(address, str) and _ADDRESS.fullmatch(address)
        if not found or not 0 < int(found[1]) < 2**16:
            raise UserError(f"{_WANTED}{shortened(str(address), 80)} is no address with a port")
    if len(set(addresses)) < len(addresses):
        raise UserError(f"{_WANTED}has an address twice: {shortened(', '.join(addresses), 200)}")
    if index >= len(cluster.get(task, ())):
        known = shortened(", ".join(addresses), 200)
        raise UserError(f"{_WANTED}there is no {shortened(task, 40)} {index} among {known}")
    if len(addresses) < 2:
        raise UserError(f"{_WANTED}has one worker; use --distribution=mirrored or none")
    this = cluster[task][index]
    return Cluster(this, [address for address in addresses if address != this])


@contextlib.contextmanager
def _listening(address: str) -> Iterator[None]:
    """Answers at this worker's port, until TensorFlow does."""
    port = int(address.rpartition(":")[2])
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    try:
        server = socket.create_server(("", port), family=family, dualstack_ipv6=both)
    except OSError as error:
        raise UserError(
            f"--distribution=multi_worker: cannot listen at {address}, this worker's address "
            f"({error.strerror}); give it a free port in TF_CONFIG"
        ) from None
    with server:  # the system accepts whoever connects
        yield


def _try(address: str, silent: dict[str, str], end: float) -> None:
    """Tries an address until it answers, and takes it off those that are silent then."""
    host, _, port = address.rpartition(":")
    while time.monotonic() < end:
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=_TRY):
                silent.pop(address)
                return
        except (OSError, UnicodeError) as error:
            silent[address] = getattr(error, "strerror", None) or str(error) or "no answer"
        time.sleep(0.2)
