"""The machines of a Ray cluster: which there are, what room they have, and whether they will do.

They must see the run directory and have this program; both are asked of each before anything
starts. Nothing here imports TensorFlow.
"""

import contextlib
import logging
import os
import socket
import sys
import sysconfig
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lth_tf import files
from lth_tf.errors import UserError
from lth_tf.machine import processor
from lth_tf.runs.provenance import versions
from lth_tf.runs.settings import Settings

_log = logging.getLogger(__name__)
# Variables that change what TensorFlow computes, or what this program may import.
_OURS = ("LTH_TF_", "TF_", "TFDS_", "XLA_", "ONEDNN_")
_ANSWER = 600  # seconds in which a machine must answer; it begins a process for it
_CONNECT = 10  # seconds
_MISSING = (
    "--cluster={}: needs Ray, which is not installed here; pip install 'lth_tf[cluster]', or "
    "pip install ray"
)


def imported_ray(settings: Settings) -> Any:
    """Returns Ray.

    Raises:
        UserError: if it is not installed.
    """
    try:
        import ray
    except ImportError:
        raise UserError(_MISSING.format(settings.cluster)) from None
    return ray


@contextlib.contextmanager
def connected(settings: Settings) -> Iterator[None]:
    """Connects this process with a cluster, unless it is connected already.

    Args:
        settings: have the cluster's address.

    Raises:
        UserError: if Ray is not installed, or there is no cluster at the address.
    """
    ray = imported_ray(settings)
    if ray.is_initialized():
        yield
        return
    _check_listens(settings.cluster)
    variables = {n: v for n, v in os.environ.items() if n.startswith(_OURS) and n != "TF_CONFIG"}
    variables["PYTHONPATH"] = os.pathsep.join(_own_paths())
    try:
        ray.init(
            settings.cluster,
            log_to_driver=False,
            logging_level="ERROR",
            runtime_env={"env_vars": variables},
        )
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        raise _unreached(settings.cluster, error) from None
    try:
        yield
    finally:
        ray.shutdown()


def _check_listens(cluster: str) -> None:
    """Checks that something listens at an address: Ray itself would wait for it for minutes."""
    address = _own_address() if cluster == "auto" else cluster
    if address is None:
        return
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), _CONNECT).close()
    except (OSError, OverflowError, ValueError) as error:
        raise _unreached(cluster, error) from None


def _own_address() -> str | None:
    """Returns where Ray will look for this machine's cluster, which may have ended since."""
    address = os.environ.get("RAY_ADDRESS")
    if address and address != "auto":
        return address
    folders = (os.environ.get(name) for name in ("RAY_TMPDIR", "TMPDIR"))
    file = Path(next(filter(None, folders), "/tmp"), "ray", "ray_current_cluster")
    return file.read_text().strip() if file.is_file() else None


def _unreached(cluster: str, error: Exception) -> UserError:
    return UserError(
        f"--cluster={cluster}: no Ray cluster can be reached there from this machine, which must "
        f"belong to it; `ray start --head` starts one ({error})"
    )


def _own_paths() -> list[str]:
    """Lists where this process finds modules besides its Python installation."""
    prefixes, names = (sys.prefix, sys.base_prefix), ("lib", sys.platlibdir)
    libraries = [Path(prefix, name) for prefix in prefixes for name in names]
    libraries += [Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")]
    libraries = [path.resolve() for path in libraries]
    paths = [Path(path or ".").resolve() for path in sys.path]
    return [str(path) for path in paths if not any(map(path.is_relative_to, libraries))]


class Machine(NamedTuple):
    """A machine of the cluster that has room for trainings.

    Attributes:
        id: Ray's.
        name: what messages call it.
        room: how many trainings can run on it at the same time.
    """

    id: str
    name: str
    room: int


def machines_of(settings: Settings) -> list[Machine]:
    """Lists the machines of the cluster on which trainings can run.

    Args:
        settings: say what a training needs.

    Raises:
        UserError: if there is none.
    """
    import ray

    alive = [node for node in ray.nodes() if node["Alive"]]
    needs = needs_of(settings)
    most = {"CPU": "num_cpus", "GPU": "num_gpus"}
    found = []
    for node in alive:
        has = node["Resources"]
        room = min(
            _room(has.get(of_ray, 0), needs[ours]) for of_ray, ours in most.items() if needs[ours]
        )
        if room:
            name = _name(node["NodeManagerHostname"], node["NodeID"])
            found.append(Machine(node["NodeID"], name, room))
    if not found:
        raise UserError(
            f"--cluster={settings.cluster}: none of its {len(alive)} machines has the "
            f"{needs['num_cpus']} cores and {needs['num_gpus']:g} GPUs that a training is to have "
            "(--threads, --gpu_share); start machines that do"
        )
    return found


def _room(has: float, needs: float) -> int:
    """Returns how many trainings a resource has room for; a share never spans two devices.

    Args:
        has: how many devices there are.
        needs: how many each training needs, or the share of one.
    """
    each = int(1 / needs + 1e-9) if needs < 1 else 1  # 1 / (1 / 3) may be below 3
    return int(has) * each if needs < 1 else int(has / needs)


def needs_of(settings: Settings) -> dict[str, float]:
    """Returns what each training asks Ray for; GPUs where the cluster has any."""
    import ray

    gpus = settings.gpu_share if ray.cluster_resources().get("GPU") else 0
    return {"num_cpus": settings.threads_per_job, "num_gpus": gpus}


def _name(host: str, machine: str) -> str:
    return f"{host} (node {machine[:8]})"


def on(machine: Machine) -> Any:
    """Returns what has Ray run something on a machine and no other."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(machine.id, soft=False)


class _Answer(NamedTuple):
    """What a machine says of itself.

    Attributes:
        unseen: of the folders, those in which it does not find what the starting process wrote, or
            cannot write itself, and why.
        versions: of Python and packages.
        processor: its processor's name.
    """

    unseen: dict[str, str]
    versions: dict[str, str]
    processor: str


def check(machines: Sequence[Machine], folders: Sequence[Path]) -> None:
    """Checks that all machines see the run directories, and have this program.

    Args:
        machines: those on which trainings can run.
        folders: the run directories; of those that lie side by side one is enough.

    Raises:
        UserError: if one does not; names it and the folder.
    """
    import ray

    folders = list({folder.parent: folder for folder in map(Path.resolve, folders)}.values())
    ask = ray.remote(num_cpus=0, max_retries=0)(_answer)
    name = f".probe_{uuid.uuid4().hex}"
    probes = [folder / name for folder in folders]
    ours = versions()
    try:
        for probe in probes:
            files.write_text(probe, name)
        asked = {
            machine: ask.options(scheduling_strategy=on(machine)).remote(
                [str(folder) for folder in folders], name
            )
            for machine in machines
        }
        processors = {processor()}
        for machine, reference in asked.items():
            try:
                answer = ray.get(reference, timeout=_ANSWER)
            except ray.exceptions.GetTimeoutError:
                raise UserError(
                    f"{machine.name}: has not answered in {_ANSWER} seconds; mend it, or have it "
                    "leave the cluster (ray stop)"
                ) from None
            except Exception as error:
                raise UserError(
                    f"{machine.name}: cannot run trainings: {said_by_ray(error)}; it needs the "
                    "Python, lth_tf and packages of the machine that starts the run"
                ) from None
            for folder in folders:
                _check_shared(machine, answer, folder, name)
            if answer.versions != ours:
                raise UserError(
                    f"{machine.name}: must have the packages of this machine, but has "
                    f"{_differences(answer.versions, ours)}"
                )
            processors.add(answer.processor)
        if len(processors) > 1:
            _log.warning(
                "The cluster has several models of processors (%s): results may differ from those "
                "of one model in their last bits",
                "; ".join(sorted(processors)),
            )
    finally:
        for probe in probes:
            for path in probe.parent.glob(f"{name}*"):
                path.unlink(missing_ok=True)


def _check_shared(machine: Machine, answer: _Answer, folder: Path, name: str) -> None:
    seen = (folder / f"{name}_{machine.id}").exists()
    why = answer.unseen.get(str(folder), "" if seen else "what it wrote there is not seen here")
    if why:
        raise UserError(
            f"{machine.name}: does not share {folder} with this machine ({why}); --runs_dir must "
            "lie on storage that all machines of the cluster see"
        )


def _answer(folders: Sequence[str], name: str) -> _Answer:
    """Says what a machine sees of folders, and what it has; runs there."""
    unseen = {}
    machine = here()[0]
    for folder in map(Path, folders):
        try:
            if (folder / name).read_text(encoding="utf-8") != name:
                raise OSError("it finds another file there")
            files.write_text(folder / f"{name}_{machine}", name)
        except (OSError, UserError) as error:
            unseen[str(folder)] = str(error)
    return _Answer(unseen, versions(), processor())


def _differences(theirs: Mapping[str, str], ours: Mapping[str, str]) -> str:
    names = [name for name in {**ours, **theirs} if theirs.get(name) != ours.get(name)]
    return ", ".join(f"{n} {theirs.get(n, 'not')} ({ours.get(n, 'not')} here)" for n in names)


def here() -> tuple[str, str]:
    """Returns the id and the name of the machine that this runs on."""
    import ray

    machine = ray.get_runtime_context().get_node_id()
    return machine, _name(socket.gethostname(), machine)


def said_by_ray(error: Exception) -> str:
    """Returns what a user's mistake is, or the beginning of what Ray says of another error."""
    cause = getattr(error, "cause", None) or error
    if isinstance(cause, UserError):
        return " ".join(str(cause).split())
    return " ".join(f"{type(cause).__name__}: {cause}".split())[:300]
