"""Images per second of ResNets in training, and the share of what the device can do.

    python -m benchmarks.throughput [--workdir=DIR] [--models=resnet18,resnet50]
        [--dtypes=float32,bfloat16] [--batch_size=256] [--image_size=224] [--repeats=5]

A whole training step (forward, backward, SGD with momentum) in the loop's own scan, on one device,
random images, 1000 classes. Model FLOPs utilisation: the operations of loss and gradient, counted
before compilation, over those of a large matrix product in the same time and dtype. Meant for a GPU
or TPU; on a CPU the defaults shrink to 4 images of 64x64. Prints a table; --workdir gets
summary.json.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import contest
from dljax.nn import resnet
from dljax.train import report


def measure(name: str, dtype: str, shape: tuple[int, ...], repeats: int) -> tuple[np.ndarray, ...]:
    """Images per second [repeats], and model FLOPs utilisation [repeats]."""
    model = getattr(resnet, name)(1000, dtype=jnp.dtype(dtype))
    rng = np.random.default_rng(0)
    batch = {
        "image": rng.normal(size=shape).astype(np.float32),
        "label": rng.integers(0, 1000, shape[0]).astype(np.int32),
    }
    variables = jax.jit(model.init)(jax.random.key(0), batch["image"][:1])
    params, stats, loss = variables["params"], variables["batch_stats"], contest.loss_of(model)
    steps, _ = contest.in_our_loop(loss, params, stats, batch)
    steps(contest.STEPS)
    ms = contest.interleaved({"step": steps}, repeats)["step"]
    work = contest.gigaflops(jax.grad(lambda p: loss(p, stats, batch)[0]), params)
    return 1e3 * shape[0] / ms, 1e3 * work / ms / contest.matrix_rate(jnp.dtype(dtype))


def main() -> None:
    cpu = jax.devices()[0].platform == "cpu"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", type=Path, help="where summary.json goes")
    parser.add_argument("--models", default="resnet18,resnet50", help="of dljax.nn.resnet")
    parser.add_argument("--dtypes", default="float32,bfloat16", help="of the computation")
    parser.add_argument("--batch_size", type=int, default=4 if cpu else 256)
    parser.add_argument("--image_size", type=int, default=64 if cpu else 224)
    parser.add_argument("--repeats", type=int, default=5, help="timed stretches of each")
    flags = parser.parse_args()
    shape = (flags.batch_size, flags.image_size, flags.image_size, 3)
    begin, rows, metrics = time.perf_counter(), [], {}
    for name in flags.models.split(","):
        for dtype in flags.dtypes.split(","):
            rates, used = measure(name, dtype, shape, flags.repeats)
            rows.append((name, dtype, f"{np.median(rates):.0f}", f"{np.median(used):.1%}"))
            metrics |= {f"{name} {dtype}: images/s": rates, f"{name} {dtype}: utilisation": used}
    print(contest.table(("model", "dtype", "images/s", "of the matrix rate"), rows))
    contest.finish("throughput", flags.workdir, vars(flags) | {"workdir": ""}, metrics, begin)
    print(f"{report.device_name()}; {report.versions()}")


if __name__ == "__main__":
    main()
