"""Where a run lies: one device, a batch over several, or seeds over several, of all processes.

The only place that knows devices. A task sees none of it: shardings stand at the boundary of the
program that loop.py compiles, and XLA inserts the communication (GSPMD), so a BatchNorm or a loss
sees the global batch.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

MODES = ("auto", "none", "data", "fsdp", "pmap")
VECTORIZE = ("auto", "on", "off")


class Placement(NamedTuple):
    """A mesh of one axis, what is spread over it, and how several seeds of a device are run.

    mesh: devices, axis "data" (each step's batch is split over them) or "replica" (the seeds are).
    vmap: seeds side by side by vmap; else one after another inside the program.
    fsdp: each array of a state is split over the axis "data" too, and gathered where it is used.
    """

    mesh: Mesh
    vmap: bool = False
    fsdp: bool = False

    @property
    def axis(self) -> str:
        """Name of the only mesh axis: "data" or "replica"."""
        return self.mesh.axis_names[0]

    @property
    def size(self) -> int:
        """Number of devices."""
        return self.mesh.size

    @property
    def batch_multiple(self) -> int:
        """What a batch must be a multiple of."""
        return self.size if self.axis == "data" else 1

    def states(self, spec: Any, shapes: Any) -> Any:
        """Shardings of states [seeds, ...]: `spec` over "data", or the seeds over "replica".

        spec: a prefix of the states. shapes: the states, or their shapes. With fsdp, what `spec`
        does not split is split along its longest axis that the number of devices divides (ZeRO-3,
        Rajbhandari et al. 2020, arXiv:1910.02054); what has none is on every device.
        """
        if self.axis == "replica":
            return jax.tree.map(lambda x: self.seeds(), shapes)

        def one(split: P, x: Any) -> NamedSharding:
            if self.fsdp and not split:
                split = _longest(x.shape[1:], self.size)
            return NamedSharding(self.mesh, P(None, *split))

        return jax.tree.map(
            lambda split, part: jax.tree.map(functools.partial(one, split), part),
            spec,
            shapes,
            is_leaf=lambda s: isinstance(s, P),
        )

    def seeds(self) -> NamedSharding:
        """Sharding of what has a leading seed axis and no batch axis."""
        return NamedSharding(self.mesh, P("replica" if self.axis == "replica" else None))

    def items(self) -> NamedSharding:
        """Sharding of training items [seeds, steps, batch, ...]."""
        replica = self.axis == "replica"
        return NamedSharding(self.mesh, P("replica") if replica else P(None, None, "data"))

    def examples(self) -> NamedSharding:
        """Sharding of evaluation items [batch, ...], the same for all seeds."""
        return NamedSharding(self.mesh, P() if self.axis == "replica" else P("data"))

    def everywhere(self) -> NamedSharding:
        """Replicated."""
        return NamedSharding(self.mesh, P())

    def results(self) -> NamedSharding:
        """Sharding of what the host reads after each dispatch, with a leading seed axis.

        Of one process, seeds on devices of their own stay there, so that no device waits for
        another; of several, each process reads all.
        """
        return self.seeds() if jax.process_count() == 1 else self.everywhere()

    def share(self, sharding: NamedSharding, axis: int, size: int) -> slice:
        """What this process's devices hold of an axis of `size`: all of it, of one process."""
        if jax.process_count() == 1 or not any(sharding.spec[axis : axis + 1]):
            return slice(0, size)
        devices = enumerate(self.mesh.devices.flat)
        own = [i for i, device in devices if device.process_index == jax.process_index()]
        return slice(min(own) * size // self.size, (max(own) + 1) * size // self.size)

    def put(
        self, tree: Any, sharding: NamedSharding, held: dict[int, tuple[slice, int]] | None = None
    ) -> Any:
        """Host arrays (the same in every process) as global arrays of that sharding.

        held: axis -> (this process's `share` of it, size), where the arrays hold that share alone.
        """
        if jax.process_count() == 1:
            return jax.device_put(tree, sharding)

        def one(x):
            x = np.asarray(x)
            shape, start = list(x.shape), [0] * x.ndim
            for axis, (share, size) in (held or {}).items():
                shape[axis], start[axis] = size, share.start

            def part(index):
                spans = [i.indices(n)[:2] for i, n in zip(index, shape, strict=True)]
                return x[tuple(slice(a - s, b - s) for (a, b), s in zip(spans, start, strict=True))]

            return jax.make_array_from_callback(tuple(shape), sharding, part)

        return jax.tree.map(one, tree)

    def over_seeds(self, f: Callable, in_axes: tuple[int | None, ...]) -> Callable:
        """`f` of one seed, mapped over the leading seed axis of the arguments whose axis is 0.

        With axis "replica" each device maps its own share: pmap(vmap(f)) of Podracer's Anakin
        (Hessel et al. 2021), written as the shard_map that jax.pmap has become, so that a Run keeps
        one shape.
        """
        mapped = functools.partial(_mapped, f, in_axes, self.vmap)
        if self.axis != "replica":
            return mapped
        specs = tuple(P("replica") if axis == 0 else P() for axis in in_axes)
        return jax.shard_map(
            mapped, mesh=self.mesh, in_specs=specs, out_specs=P("replica"), check_vma=False
        )

    @property
    def platform(self) -> str:
        """What the devices are: cpu, gpu or tpu. Asked here alone."""
        return self.mesh.devices.flat[0].platform


def _longest(shape: tuple[int, ...], devices: int) -> P:
    """The longest axis that `devices` divides, split; the last of several as long."""
    length, axis = max(((n, i) for i, n in enumerate(shape) if n % devices == 0), default=(0, 0))
    return P(*(None,) * axis, "data") if length else P()


def bytes_per_device(tree: Any) -> tuple[int, int]:
    """What the arrays of a tree (or their shapes) take on each device, and would on one alone."""
    arrays = jax.tree.leaves(tree)

    def size(shapes: Iterable[tuple[int, ...]]) -> int:
        return sum(
            math.prod(shape) * x.dtype.itemsize for x, shape in zip(arrays, shapes, strict=True)
        )

    return size(x.sharding.shard_shape(x.shape) for x in arrays), size(x.shape for x in arrays)


def _mapped(f: Callable, in_axes: tuple[int | None, ...], vmap: bool, *args: Any) -> Any:
    if vmap:
        return jax.vmap(f, in_axes)(*args)

    def one(split):
        rest = iter(split)
        return f(*[next(rest) if axis == 0 else a for a, axis in zip(args, in_axes, strict=True)])

    return jax.lax.map(one, [a for a, axis in zip(args, in_axes, strict=True) if axis == 0])


def place(
    parallel: str = "auto",
    *,
    batch_size: int = 0,
    num_seeds: int = 1,
    vectorize_seeds: str = "auto",
) -> Placement:
    """The placement that `--parallel` and `--vectorize_seeds` name, over all processes' devices.

    auto: "data" if `batch_size` is given and a multiple of the number of devices, else one device.
    none: one device. data: each batch split over all devices. fsdp: parameters and all else that
    training changes too. pmap: seeds over all devices.
    vectorize_seeds: "off", one after another in the program, bit for bit as alone. "on", side by
    side by vmap: faster on a GPU or TPU, and for very small networks on a CPU, where it makes
    grouped convolutions that are slow at any other size. auto: off on a CPU, on elsewhere.
    Raises ValueError where batch or seeds cannot be split evenly.
    """
    devices = jax.devices()
    n = len(devices)
    if parallel not in MODES:
        raise ValueError(f"parallel={parallel!r}: choose one of {', '.join(MODES)}")
    if vectorize_seeds not in VECTORIZE:
        raise ValueError(
            f"vectorize_seeds={vectorize_seeds!r}: choose one of {', '.join(VECTORIZE)}"
        )
    vmap = vectorize_seeds == "on" or (vectorize_seeds == "auto" and devices[0].platform != "cpu")
    if parallel in ("data", "fsdp") and batch_size % n:
        raise ValueError(
            f"batch_size={batch_size} is not a multiple of the {n} devices: "
            "change it or use parallel=none"
        )
    if parallel == "pmap":
        if num_seeds % n:
            raise ValueError(
                f"parallel=pmap spreads seeds over {n} devices: "
                f"num_seeds={num_seeds} is not a multiple of {n}"
            )
        return Placement(Mesh(np.array(devices), ("replica",)), vmap)
    if parallel == "none" or (parallel == "auto" and (not batch_size or batch_size % n)):
        if jax.process_count() > 1:
            raise ValueError(
                f"{jax.process_count()} processes need parallel=data, fsdp or pmap, "
                f"and a batch_size that is a multiple of {n}"
            )
        devices = jax.local_devices()[:1]
    return Placement(Mesh(np.array(devices), ("data",)), vmap, parallel == "fsdp")


def agreed(value: float) -> float:
    """The first process's value, in all processes (which must all ask)."""
    if jax.process_count() == 1:
        return value
    from jax.experimental import multihost_utils

    return float(multihost_utils.broadcast_one_to_all(np.float32(value)))


def gathered(value: int) -> np.ndarray:
    """Each process's number, int32 [processes], in all of them (which must all ask)."""
    if jax.process_count() == 1:
        return np.array([value], np.int32)
    from jax.experimental import multihost_utils

    return multihost_utils.process_allgather(np.int32(value))


def gathered_texts(text: str) -> list[str]:
    """Each process's text, in all of them (which must all ask)."""
    if jax.process_count() == 1:
        return [text]
    from jax.experimental import multihost_utils

    data = np.frombuffer(text.encode(), np.uint8)
    lengths = gathered(len(data))
    padded = np.pad(data, (0, lengths.max() - len(data)))
    rows = multihost_utils.process_allgather(padded)
    return [bytes(row[:n]).decode() for row, n in zip(rows, lengths, strict=True)]
