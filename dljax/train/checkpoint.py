"""Checkpoints: the newest ones and the best one, written beside the training, read back whole.

orbax writes each into a temporary folder and renames it when it is complete. On top of that: one
writer at a time in a workdir, a digest that finds a damaged checkpoint, and the one
before it in its place.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dljax.train.loop import Run
from dljax.train.parallel import gathered

UNSCORED = float("-inf")


def _score(saved: dict[str, float]) -> float:
    return saved["score"]


class CheckpointError(OSError):
    """A checkpoint could not be written or read."""


class _OtherArrays(ValueError):
    """A checkpoint holds arrays of other names or shapes."""


class Store:
    """The checkpoints of one workdir, in its folder checkpoints/, one folder a step.

    keep: how many of the newest are kept, beside the best one. keep_every: those whose step is a
    multiple of it are kept too; 0: none. warn: called with a line about a damaged checkpoint.
    read_only: changes nothing, so that a run in training may be looked at. Writers hold `lock`.
    """

    def __init__(
        self,
        workdir: str | Path,
        *,
        keep: int = 2,
        keep_every: int = 0,
        warn: Callable[[str], None] = lambda text: None,
        read_only: bool = False,
    ):
        self.folder = Path(workdir).absolute() / "checkpoints"
        self._warn, self._read_only = warn, read_only
        if read_only and not self.folder.is_dir():
            raise FileNotFoundError(
                f"{workdir} holds no checkpoint: train first, or name another --workdir"
            )
        import orbax.checkpoint as ocp  # here and below: slow to import, and not always used
        from orbax.checkpoint import checkpoint_managers as policies

        newest = policies.LatestN(keep)
        kept = [newest, policies.BestN(get_metric_fn=_score, n=1)]
        if keep_every:
            kept.append(policies.EveryNSteps(keep_every))
        options = ocp.CheckpointManagerOptions(
            best_fn=_score,
            preservation_policy=policies.AnyPreservationPolicy(kept),
            cleanup_tmp_directories=not read_only,
            read_only=read_only,
        )
        self._manager = ocp.CheckpointManager(self.folder, options=options)

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def latest_step(self) -> int | None:
        """Step of the newest complete checkpoint."""
        return self._manager.latest_step()

    def best_step(self) -> int | None:
        """Step of the checkpoint with the largest score; None if none was scored."""
        step = self._manager.best_step()
        return step if step is not None and _score(self._manager.metrics(step)) > UNSCORED else None

    def save(self, step: int, run: Run, meta: dict[str, Any], score: float | None = None) -> None:
        """Starts writing; returns as soon as the run's buffers may be donated again."""
        import orbax.checkpoint as ocp

        copy = _copied(run)
        meta = {**meta, "digest": _digest(copy)}
        args = ocp.args.Composite(run=ocp.args.StandardSave(copy), meta=ocp.args.JsonSave(meta))
        with _explained(self.latest_step):
            self._manager.save(
                step, args=args, metrics={"score": UNSCORED if score is None else float(score)}
            )

    def wait(self) -> None:
        """Returns when all that was saved is on the disk."""
        with _explained(self.latest_step):
            self._manager.wait_until_finished()

    def restore(self, like: Run, step: int | None = None) -> tuple[Run, dict[str, Any]] | None:
        """The newest readable checkpoint (or that of `step`), laid out as `like`, if there is one.

        Damaged ones are reported, and set aside under the name damaged-STEP once one before them is
        read.
        """
        steps = [step] if step is not None else sorted(self._manager.all_steps(), reverse=True)
        damaged = {}
        for step in steps:
            try:
                found = self._read(step, like)
            except Exception as error:  # whatever a broken file makes orbax or tensorstore raise
                said = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
                strange = isinstance(error, _OtherArrays)
                damaged[step] = said if strange else f"its files are damaged or incomplete ({said})"
                continue
            for broken, reason in damaged.items():
                self._warn(
                    f"checkpoint of step {broken} is damaged and set aside, "
                    f"going back to step {step}: {reason}"
                )
                self._set_aside(broken)
            return found
        if damaged:
            reasons = "; ".join(f"step {step}: {reason}" for step, reason in damaged.items())
            raise CheckpointError(
                f"no checkpoint in {self.folder} can be read ({reasons}); --overwrite starts anew"
            )
        return None

    def _read(self, step: int, like: Run) -> tuple[Run, dict[str, Any]]:
        import orbax.checkpoint as ocp

        self._check_shapes(step, like)
        args = ocp.args.Composite(run=ocp.args.StandardRestore(like), meta=ocp.args.JsonRestore())
        found = failure = None
        try:
            found = self._manager.restore(step, args=args)
        except Exception as error:
            failure = error
        if gathered(failure is not None).any():  # in any of several processes
            raise failure or ValueError("another process cannot read it")
        meta = dict(found["meta"])
        if _digest(found["run"]) != meta["digest"]:
            raise ValueError("its content is not what was written")
        return found["run"], meta

    def _check_shapes(self, step: int, like: Run) -> None:
        """Refuses a checkpoint of other arrays than `like`, in a line of our own words."""
        try:
            saved = self._manager.item_metadata(step)["run"]
            saved = _shapes(getattr(saved, "tree", saved))
        except Exception:  # damaged: reading it says so
            return
        wanted = _shapes(like)
        strange = [x for x in dict.fromkeys((*saved, *wanted)) if saved.get(x) != wanted.get(x)]
        if saved and strange:
            first, more = strange[0], f", and {len(strange) - 1} more differ"
            raise _OtherArrays(
                f"it is of another network or configuration: {first} has the shape "
                f"{saved.get(first, 'none')} in it and {wanted.get(first, 'none')} now"
                + (more if len(strange) > 1 else "")
            )

    def _set_aside(self, step: int) -> None:
        if self._read_only:
            return
        if jax.process_index() == 0:
            target = self.folder / f"damaged-{step}"
            shutil.rmtree(target, ignore_errors=True)  # of an earlier time
            os.replace(self.folder / str(step), target)
        gathered(0)  # the others wait for it
        self._manager.reload()

    def close(self) -> None:
        """Waits for what is being written, and lets the workdir go."""
        try:
            self.wait()
        finally:
            self._manager.close()


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    """Shapes by path ("states/params/stem/kernel"), whatever the kinds of nodes."""
    found = {}
    for path, leaf in jax.tree.leaves_with_path(tree):
        names = [str(getattr(x, "name", getattr(x, "key", getattr(x, "idx", x)))) for x in path]
        if jnp.issubdtype(getattr(leaf, "dtype", None) or jnp.float32, jax.dtypes.prng_key):
            leaf = jax.eval_shape(jax.random.key_data, leaf)  # as which keys are saved
        if getattr(leaf, "shape", None) is not None:
            found["/".join(names)] = tuple(leaf.shape)
    return found


def arrays(folder: str | Path) -> Any:
    """The arrays of an orbax checkpoint as nested dictionaries, without what they were made from.

    folder: the checkpoint, or a workdir, of which the best one counts, else the newest. Raises
    FileNotFoundError or CheckpointError, in one line.
    """
    import orbax.checkpoint as ocp

    folder = Path(folder).absolute()
    if (folder / "checkpoints").is_dir():
        with Store(folder, read_only=True) as store:
            step = store.best_step() or store.latest_step()
        if step is None:
            raise FileNotFoundError(f"{folder} holds no checkpoint: train first")
        folder = folder / "checkpoints" / str(step) / "run"
    reader, here = ocp.StandardCheckpointer(), jax.local_devices()[0]
    try:
        saved = reader.metadata(folder).item_metadata
        like = jax.tree.map(  # on a device of ours, wherever it was written
            lambda x: jax.ShapeDtypeStruct(
                x.shape, x.dtype, sharding=jax.sharding.SingleDeviceSharding(here)
            ),
            getattr(saved, "tree", saved),
        )
        return reader.restore(folder, like)
    except Exception as error:  # whatever a folder that is none makes orbax or tensorstore raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise CheckpointError(f"{folder} is no readable checkpoint: {reason}") from error


@contextlib.contextmanager
def lock(workdir: str | Path) -> Iterator[None]:
    """Holds a workdir, made if absent, against other processes (of several, the first one does).

    The kernel lets it go when the process ends, however it ends. Raises CheckpointError if it is
    held.
    """
    if jax.process_index() > 0:
        yield
        return
    workdir = Path(workdir)
    workdir.mkdir(parents=True, exist_ok=True)
    handle = os.open(workdir / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        owner = os.read(handle, 20).decode(errors="replace").strip()
        os.close(handle)
        raise CheckpointError(
            f"{workdir} is in use by another process ({owner}): "
            "wait for it, or choose another --workdir"
        ) from None
    os.truncate(handle, 0)
    os.write(handle, f"pid {os.getpid()}\n".encode())
    try:
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def _explained(latest: Callable[[], int | None]) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        text = " ".join(str(error).split())
        full = "No space left on device" in text or "ENOSPC" in text or "Disk quota" in text
        reason = "the disk is full" if full else text[:300]
        with contextlib.suppress(Exception):
            reason += (
                f"; the checkpoint of step {latest()} is intact" if latest() is not None else ""
            )
        raise CheckpointError(f"could not write a checkpoint: {reason}") from error


def _copied(run: Run) -> Run:
    """What no later step can donate; of one process without a program to compile.

    Where it lies is named, or keys would leave it: findings/jax_device_put_keys.sh.
    """
    if jax.process_count() > 1:
        return jax.tree.map(jnp.copy, run)
    return jax.device_put(run, jax.tree.map(lambda x: x.sharding, run), may_alias=False)


def _plain(x: jax.Array) -> jax.Array:
    """The same bits without a key's type."""
    return jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x


def _bits(x: np.ndarray) -> int:
    """A position-dependent sum of all bits; as integers wrap, it does not depend on an order."""
    total, x = 0, np.ascontiguousarray(x).ravel()
    words = x.view({1: np.uint8, 2: np.uint16}.get(x.itemsize, np.uint32))
    for first in range(0, words.size, 2**14):
        block = words[first : first + 2**14].astype(np.uint32)
        weights = 2 * np.arange(first, first + block.size, dtype=np.uint32) + 1
        total += int((block * weights).sum(dtype=np.uint32))
    return total % 2**32


@jax.jit
def _bits_of_all(x: jax.Array) -> jax.Array:
    """`_bits` of an array that is spread over processes."""
    x = x.astype(jnp.uint8) if x.dtype == jnp.bool_ else x
    unsigned = {1: jnp.uint8, 2: jnp.uint16, 4: jnp.uint32, 8: jnp.uint32}[x.dtype.itemsize]
    words = jax.lax.bitcast_convert_type(x, unsigned).astype(jnp.uint32).ravel()
    weights = 2 * jnp.arange(words.size, dtype=jnp.uint32) + 1
    return jnp.sum(words * weights, dtype=jnp.uint32)


def _digest(run: Run) -> int:
    """A number of 32 bits that depends on each bit of the run.

    In one process the host adds up what it writes, with nothing to compile; in several, they do so
    together, by a program for each shape, one after another: one program for all arrays takes as
    long to compile as a step.
    """
    total, alone = 0, jax.process_count() == 1
    for number, x in enumerate(map(_plain, jax.tree.leaves(run))):
        bits = _bits(np.asarray(x)) if alone else int(_bits_of_all(x))
        total = (31 * total + bits + number) % 2**32
    return total
