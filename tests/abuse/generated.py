"""Damaged run directories and tickets, generated, and what a reader of this program makes of each.

    PYTHONPATH=. python tests/abuse/generated.py

prints how many cases end how. It uses only what earlier versions have as well, so that they can be
measured by it: `PYTHONPATH=OLDER python tests/abuse/generated.py`. Knows no TensorFlow.
"""

import collections
import copy
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from lth_tf.data import ImageInfo
from lth_tf.errors import UserError
from lth_tf.formats.ticket import Ticket
from lth_tf.recipe import Recipe
from lth_tf.runs.experiment import Experiment, Training, make_plan
from lth_tf.runs.results import Result
from lth_tf.runs.run import read_curve, read_runs
from lth_tf.runs.store import Store

SHAPES = {"dense1/kernel": (6, 5), "output/kernel": (5, 3)}
START = {
    "time": "2026-11-22T19:39:50+00:00", "flags": ["--rounds=2"], "settings": {"jobs": 1},
    "versions": {"python": "3.11.7"}, "git_revision": None,
    "hardware": {"processor": "x86_64", "cores": 2, "memory_gib": 23.5, "gpus": []},
}  # fmt: skip
INFO = ImageInfo((28, 28, 1), 10, 4_000, 1_000)
METRICS = (
    "iteration,train_loss,validation_loss,validation_accuracy,test_accuracy,train_accuracy\n"
    "0,,2.3,0.1,0.1,\n100,0.5,0.4,0.8,0.8,0.9\n200,0.4,0.5,0.7,0.75,0.9\n"
)
CHOSEN = Training(0, 2, "ticket")
SECONDS = 60  # after which a case hangs, on a machine that is busy, too
MEMORY = 2**31  # bytes that a reader may take besides
# In the place of any value of a JSON file.
WRONG = [None, "x", "x" * 5_000, -1, 10**13, 1.5, -0.5, [], {}, [[]], True, "NESTED", "INFINITE"]
NESTED = "[" * 100_000 + "]" * 100_000


def write_run(folder: Path) -> Path:
    """Writes a run directory as this version does, with arrays, without training."""
    recipe = Recipe(model="lenet", dataset="mnist_5k", iterations=200)
    experiment = Experiment(recipe=recipe, rounds=2, arms=("ticket", "reinit"))
    store = Store(folder)
    with store.lock():
        store.begin(experiment, INFO, START)
    generator = np.random.default_rng(0)
    order = {name: generator.permutation(np.prod(shape)) for name, shape in SHAPES.items()}
    for training in make_plan(experiment):
        masks, weights = {}, {}
        for name, shape in SHAPES.items():
            mask = np.zeros(np.prod(shape), bool)
            mask[order[name][: round(mask.size * 0.8**training.level)]] = True
            masks[name] = mask.reshape(shape)
            weights[name] = np.where(masks[name], generator.normal(1, 0.1, shape), 0).astype("f4")
        store.clear(training)
        (store.path(training) / "metrics.csv").write_text(METRICS)
        store.write_arrays(training, "weights", weights)
        store.write_masks(training, masks)
        if training.level == 0:
            store.write_arrays(training, "initial", weights)
        layers = {name: (int(mask.sum()), mask.size) for name, mask in masks.items()}
        store.finish(training, result_of(training, layers))
    store.update_results()
    weights = store.read_arrays(CHOSEN, "weights")
    metadata = {"recipe": recipe.to_json(), "level": 2, "data": {"image_shape": [28, 28, 1]}}
    Ticket(store.read_masks(CHOSEN), weights, weights, metadata).save(folder.parent / "t")
    (store.path(CHOSEN) / "notes.txt").write_text("a user's")
    return folder


def result_of(training: Training, layers: dict, stop: int = 100, end: int = 200) -> Result:
    """A training's result, with so much left of so much in each layer."""
    remaining, total = (sum(counts) for counts in zip(*layers.values(), strict=True))
    fields = (remaining / total, remaining, stop, 0.4, 0.8, 0.75, end, 1.0, {100: 0.8}, layers)
    return Result(*vars(training).values(), *fields)


def write_result(store: Store, training: Training, sizes: dict[str, int], points: int) -> None:
    """Writes what a report reads of a finished training: its curve, of many points, and result."""
    header, *_ = METRICS.partition("\n")
    chance = random.Random(training.path)
    lines = [f"{100 * i},0.5,{0.4 + 2 / (i + 1)},0.8,0.7," for i in range(points + 1)]
    store.clear(training)
    (store.path(training) / "metrics.csv").write_text("\n".join([header, *lines]) + "\n")
    layers = {name: (round(size * 0.8**training.level), size) for name, size in sizes.items()}
    stop, end = 100 * chance.randint(1, points), 100 * points
    store.finish(training, result_of(training, layers, stop, end))


def read_run(folder: Path) -> str:
    """Reads all of a run, as a report and an export do; returns what was left out."""
    (run,) = read_runs([folder])
    for training in map(lambda r: Training(r.replicate, r.level, r.arm), run.results):
        read_curve(run.store, training, "validation_accuracy")
        run.store.read_masks(training)
        run.store.read_arrays(training, "weights")
        if training.level == 0:
            run.store.read_arrays(training, "initial")
    make_plan(run.experiment)
    return " ".join(getattr(run.store, "left_out", ()))


def read_ticket(path: Path) -> str:
    """Reads a ticket and its recipe."""
    Ticket.load(path).recipe.to_json()
    return ""


# --- damage -----------------------------------------------------------------------------------


def leaves(value, path=()):
    """Yields the paths of all values in a JSON value."""
    if not isinstance(value, dict | list):
        return
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        yield (*path, key)
        yield from leaves(inner, (*path, key))


def written(fields) -> str:
    """A JSON text, with what Python would not write."""
    text = json.dumps(fields)
    return text.replace('"NESTED"', NESTED).replace('"INFINITE"', "1e999")


def with_value(fields, path, value):
    changed = copy.deepcopy(fields)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return changed


def json_damage(path: Path):
    """Yields names, and functions that edit a JSON file in a way that it must be noticed."""
    fields = json.loads(path.read_text())
    for place in leaves(fields):
        before = fields
        for key in place:
            before = before[key]
        name = f"{path.name}:{'.'.join(map(str, place))}"
        for value in WRONG:
            if value != before or type(value) is not type(before):
                text = written(with_value(fields, place, value))
                yield f"{name}={str(value)[:12]}", lambda p, t=text: p.write_text(t)
        if isinstance(before, int | float) and not isinstance(before, bool):
            text = written(with_value(fields, place, before + 1))
            yield f"{name}+1", lambda p, t=text: p.write_text(t)
    for place in leaves(fields):
        changed = copy.deepcopy(fields)
        inner = changed
        for key in place[:-1]:
            inner = inner[key]
        del inner[place[-1]]
        if place != ("checksum",):  # as a run of before, which is read with a warning
            text = written(changed)
            yield f"{path.name}:no {place[-1]}", lambda p, t=text: p.write_text(t)
    for text in ("", "[]", "null", "{", "\0", NESTED, '{"a":' * 10_000):
        yield f"{path.name}={text[:9]!r}", lambda p, t=text: p.write_text(t)


def byte_damage(path: Path, seed: int, count: int):
    """Yields truncations and changed bytes."""
    content, chance = path.read_bytes(), random.Random(seed)
    for _ in range(count):
        end = chance.randrange(len(content))
        yield f"{path.name}[:{end}]", lambda p, e=end: p.write_bytes(content[:e])
        place, bits = chance.randrange(len(content)), chance.randrange(1, 256)
        changed = bytearray(content)
        changed[place] ^= bits
        if (
            path.suffix == ".json"
            and chr(content[place]).isspace()
            and chr(changed[place]).isspace()
        ):
            continue
        yield f"{path.name}[{place}]^{bits}", lambda p, c=bytes(changed): p.write_bytes(c)


def replace_by(make):
    def change(path):
        path.unlink()
        make(path)

    return change


IRREGULAR = {
    "a pipe": replace_by(os.mkfifo),
    "endless": replace_by(lambda path: path.symlink_to("/dev/zero")),
    "a folder": replace_by(Path.mkdir),
    "a loop": replace_by(lambda path: path.symlink_to(path)),
    "gone": Path.unlink,
    "a lost link": replace_by(lambda path: path.symlink_to("nowhere")),
}


def seal(folder: Path) -> None:
    """Makes a training's checksums those of its files, as somebody does who means harm."""
    path = folder / "result.json"
    fields = json.loads(path.read_text())
    for name in fields["checksums"]:
        fields["checksums"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    if fields.pop("checksum", None):
        text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
        fields["checksum"] = hashlib.sha256(text.encode()).hexdigest()
    path.write_text(json.dumps(fields))


def sealed(name, change):
    """Changes an array file's arrays and metadata, and the checksum with it."""

    def act(path):
        with safe_open(path, framework="numpy") as file:
            arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            texts = file.metadata()
        change(arrays, texts)
        save_file(arrays, path, texts)
        seal(path.parent)

    return name, act


def _set(name, value):
    return lambda arrays, texts: arrays.update({name: value(arrays[name])})


FIRST = "dense1/kernel"
SEALED = {
    "weights.safetensors": [
        sealed("not a number", _set(FIRST, lambda a: a * np.nan)),
        sealed("infinite", _set(FIRST, lambda a: np.where(a, np.inf, 0).astype("f4"))),
        sealed("not pruned", _set(FIRST, lambda a: a + 1)),
        sealed("a row less", _set(FIRST, lambda a: a[1:].copy())),
        sealed("transposed", _set(FIRST, lambda a: a.T.copy())),
        sealed("flat", _set(FIRST, lambda a: a.ravel())),
        sealed("integers", _set(FIRST, lambda a: a.astype("i4"))),
        sealed("none", lambda arrays, texts: arrays.clear()),
        sealed("one less", lambda arrays, texts: arrays.pop(FIRST)),
        sealed("exchanged", lambda arrays, texts: arrays.update(
            {FIRST: arrays["output/kernel"], "output/kernel": arrays[FIRST]})),
    ],
    "masks.safetensors": [
        sealed("all", _set(FIRST, lambda a: a | 255)),
        sealed("nothing", _set(FIRST, lambda a: a & 0)),
        sealed("others", _set(FIRST, lambda a: np.packbits(np.roll(np.unpackbits(a)[:30], 1)))),
        sealed("longer", _set(FIRST, lambda a: np.concatenate([a, a]))),
        sealed("another type", _set(FIRST, lambda a: a.astype("f4"))),
        sealed("one less", lambda arrays, texts: arrays.pop(FIRST)),
        sealed("one more", lambda arrays, texts: arrays.update({"x": arrays[FIRST]})),
        *(
            sealed(f"shapes={text[:20]}", lambda arrays, texts, t=text: texts.update(shapes=t))
            for text in (
                "", "[]", "null", '{"dense1/kernel": [1e9, 1e9]}', '{"dense1/kernel": "x"}',
                '{"dense1/kernel": [-6, -5], "output/kernel": [5, 3]}',
                '{"dense1/kernel": [5, 6], "output/kernel": [5, 3]}',
                '{"dense1/kernel": [1000000000, 1000000000], "output/kernel": [5, 3]}', NESTED,
            )
        ),
    ],
    "metrics.csv": [
        (text[:20], lambda path, t=text: (path.write_text(t), seal(path.parent)))
        for text in (
            "", "x\n", "iteration\n1\n", METRICS.replace("100", "x"), METRICS + "\0",
            METRICS.replace("0.8,0.8", "nan,0.8"), METRICS + "1,2\n", METRICS + "x" * 200_000,
            METRICS.replace("100,", "-100,"), METRICS.replace("0.8,0.8", "inf,0.8"),
        )
    ],
}  # fmt: skip
HEADERS = [
    b"", b"\xff" * 8, (2**63).to_bytes(8, "little"), (10**9).to_bytes(8, "little") + b"{}",
    *(
        len(text).to_bytes(8, "little") + text
        for text in (
            b"[]", b"{", b'{"a":1}', b"{}",
            b'{"a":{"dtype":"F32","shape":[1000000000,1000],"data_offsets":[0,4]}}',
            b'{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}',
            b'{"a":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}}abcd',
            b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}abcd',
            b'{"__metadata__":1}', b'{"__metadata__":{"ticket":1}}', b"[" * 100_000,
        )
    ),
]  # fmt: skip


def copied(where, to):
    """Copies a folder of the run to another's name."""
    return lambda folder: shutil.copytree(folder / where, folder / to)


LEVEL = "replicate_00/level_02"
FOLDERS = {
    "a copy of a replicate": copied("replicate_00", "replicate_00 (copy)"),
    "a copy of an arm": copied(f"{LEVEL}/ticket", f"{LEVEL}/ticket (copy)"),
    "a level by another's name": copied(f"{LEVEL}/ticket", "replicate_00/level_03/ticket"),
    "another replicate's": copied("replicate_00", "replicate_01"),
    "an arm by another's name": copied(f"{LEVEL}/reinit_0", f"{LEVEL}/reinit_1"),
    "a level without a number": copied(LEVEL, "replicate_00/level_x"),
}


def ticket_damage(path: Path):
    """Yields what is done to a ticket's own account of itself, checksums made right."""
    with safe_open(path, framework="numpy") as file:
        arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        fields = json.loads(file.metadata()["ticket"])

    def save(text):
        return lambda p: save_file(arrays, p, {"ticket": text})

    for place in leaves(fields):
        if place[0] != "checksum" and place != ("metadata", "level") and "data" not in place:
            for value in (None, "x", -1, 10**13, [], {}, "NESTED"):
                changed = with_value(fields, place, value)
                before = fields
                for key in place:
                    before = before[key]
                same_kind = type(value) is type(before)
                wild = "learning_rate" in str(place[-1]) and value == 10**13  # but a rate
                if place[:2] == ("metadata", "recipe") and (same_kind or wild):
                    continue
                changed.pop("checksum")
                text = json.dumps(changed, sort_keys=True, separators=(",", ":"))
                changed["checksum"] = hashlib.sha256(text.encode()).hexdigest()
                yield f"ticket:{'.'.join(map(str, place))}={str(value)[:9]}", save(written(changed))
    for value in ("os:abort", "signal:pause"):  # read, as a name, and never imported
        yield f"ticket: {value}", save("{}" if value else "")


# --- running ----------------------------------------------------------------------------------


def cases(run: Path):
    """Yields name, the file or folder that is damaged, the damage and the reader."""
    folder, ticket = run / CHOSEN.path, run.parent / "t"
    jsons = [run / "experiment.json", folder / "result.json"]
    arrays = [folder / "weights.safetensors", folder / "masks.safetensors"]
    dense = run / "replicate_00/level_00/dense"
    for path in jsons:
        for name, change in json_damage(path):
            yield name, path, change, read_run
    for seed, path in enumerate(
        [*jsons, *arrays, folder / "metrics.csv", dense / "initial.safetensors"]
    ):
        for name, change in byte_damage(path, seed, 20):
            yield name, path, change, read_run
        for name, change in IRREGULAR.items():
            if (path.name, name) not in (("result.json", "gone"), ("result.json", "a lost link")):
                yield f"{path.name} is {name}", path, change, read_run
    for file, changes in SEALED.items():
        for name, change in changes:
            yield f"{file} sealed, {name}", folder / file, change, read_run
    for number, header in enumerate(HEADERS):
        for path in arrays:
            yield f"{path.name} header {number}", path, lambda p, h=header: (
                p.write_bytes(h), seal(p.parent)), read_run  # fmt: skip
        yield f"ticket header {number}", ticket, lambda p, h=header: p.write_bytes(h), read_ticket
    for name, change in FOLDERS.items():
        yield name, run, change, read_run
    for name, change in (*byte_damage(ticket, 9, 60), *IRREGULAR.items(), *ticket_damage(ticket)):
        yield f"ticket {name}", ticket, change, read_ticket


def outcome(path: Path, read, place: Path) -> tuple[str, str]:
    """Reads in a process of its own; returns how that ended, and what was said."""
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        os.close(ours)
        signal.alarm(0)
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        try:
            left_out = read(place)
            said = ("clear", left_out) if left_out else ("silent", "")
        except UserError as error:
            text = str(error)
            fine = "\n" not in text and len(text) < 1_500 and "/" in text
            said = ("clear" if fine else "poor", text[:300])
        except MemoryError as error:
            said = ("traceback", repr(error))
        except BaseException as error:
            said = ("traceback", repr(error)[:200])
        os.write(theirs, json.dumps(said).encode()[:4_000])
        os._exit(0)
    os.close(theirs)
    end = time.monotonic() + SECONDS
    while not (done := os.waitpid(child, os.WNOHANG))[0]:
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            os.close(ours)
            return "hang", ""
        time.sleep(0.002)
    with os.fdopen(ours, "rb") as pipe:
        content = pipe.read()
    if done[1] or not content:
        return "crash", str(done[1])
    return tuple(json.loads(content))


def restore(path: Path, kept: Path) -> None:
    """Puts a file, or a run directory with all that is in it, back."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()
    shutil.copytree(kept, path) if kept.is_dir() else shutil.copy2(kept, path)


def count(every: int = 1) -> tuple[collections.Counter, list[str]]:
    """Runs every n-th case; returns how many ended how, and what is not clear."""
    found, bad = collections.Counter(), []
    with tempfile.TemporaryDirectory() as scratch:
        run = write_run(Path(scratch) / "now/run")
        shutil.copytree(Path(scratch) / "now", Path(scratch) / "kept")
        for name, path, change, read in list(cases(run))[::every]:
            change(path)
            place = path if read is read_ticket else run
            how, said = outcome(path, read, place)
            if not (run / CHOSEN.path / "notes.txt").exists():
                how = "lost"
            found[how] += 1
            if how != "clear":
                bad.append(f"{how}: {name}: {said}")
            whole = path if path.name == "t" else run
            restore(whole, Path(scratch) / "kept" / whole.relative_to(Path(scratch) / "now"))
    return found, bad


if __name__ == "__main__":
    import logging

    logging.disable(logging.CRITICAL)
    counted, unclear = count()
    print(sum(counted.values()), dict(counted))
    if "-v" in sys.argv:
        print("\n".join(unclear))
