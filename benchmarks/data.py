"""What the data cost: decoding and its cache, streaming against memory, augmentation.

    python -m benchmarks.data [--workdir=DIR] [--repeats=5] [--data_dir=DIR --dataset=tfds:mnist]

- decoding: a TFDS set that lies in --data_dir is decoded by all cores into a cache of its own, then
  opened again from there (without --data_dir this part is left out).
- streaming: LeNet on a folder of PNGs made for the occasion, read while the device works, against
  the same images in memory, in turn; the share of the time that the device waits.
- augmentation: a step with each augmentation against one without.

Prints the tables; --workdir gets summary.json.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks import contest
from dljax.cnn.classification import classifier
from dljax.data import augment, feed, images
from dljax.data.sources import load_images
from dljax.nn.lenet import LeNet
from dljax.train import loop, optim, report

SIDE, BATCH, IMAGES = 32, 128, 2048
AUGMENTATIONS = {
    "none": None,
    "crop and flip": augment.chain(augment.random_crop(4), augment.flip()),
    "rotation, zoom, shear": augment.affine(15.0, scale=(0.9, 1.1), shear=5.0),
    "colour": augment.color_jitter(0.3, 0.3, 0.3),
    "cutout": augment.cutout(8),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", type=Path, help="where summary.json goes")
    parser.add_argument("--repeats", type=int, default=5, help="timed stretches of each")
    parser.add_argument("--dataset", default="tfds:mnist", help="the set that is decoded")
    parser.add_argument("--data_dir", help="where it lies")
    flags = parser.parse_args()
    begin, metrics = time.perf_counter(), {}
    if flags.data_dir:
        seconds = decoding(flags.dataset, flags.data_dir)
        metrics |= {f"{flags.dataset}: {name}, s": np.array([s]) for name, s in seconds.items()}
        print(contest.table((flags.dataset, "s"), [(n, f"{s:.2f}") for n, s in seconds.items()]))
    with tempfile.TemporaryDirectory() as folder:
        make_folder(Path(folder), IMAGES)
        times = streaming(folder, flags.repeats)
    rows = [(n, *contest.spread(ms, 1)) for n, ms in times.items()]
    print(contest.table(("images", "ms a step, median", "spread"), rows))
    waits = 1 - times["in memory"] / times["streamed"]
    print(f"the device waits {np.median(waits):.1%} of a streamed step\n")
    metrics["share of a streamed step that the device waits"] = waits
    times = augmentations(flags.repeats)
    rows = [
        (n, *contest.spread(ms, 1), f"{np.median(ms / times['none']):.2f}")
        for n, ms in times.items()
    ]
    print(contest.table(("augmentation", "ms a step, median", "spread", "against none"), rows))
    metrics |= {f"step with {n} / without": ms / times["none"] for n, ms in times.items()}
    contest.finish("data", flags.workdir, {"repeats": flags.repeats}, metrics, begin)
    print(f"{report.device_name()}; {report.versions()}")


def decoding(dataset: str, data_dir: str) -> dict[str, float]:
    """Seconds of a first and a second start, with a cache folder of this run's own."""
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copytree(data_dir, Path(folder) / "tfds", ignore=_but(dataset))
        for name in ("first start, decoding", "second start, from the cache"):
            begin = time.perf_counter()
            data = load_images(dataset, str(copy), quiet=True)
            seconds[name] = time.perf_counter() - begin
        count = len(data.train["label"]) + len(data.test["label"])
        print(f"{dataset}: {count} images")
    return seconds


def _but(dataset: str) -> Any:
    """What shutil.copytree is to leave out of a TFDS folder: other sets, and their caches."""
    wanted = dataset.removeprefix("tfds:").split("/")[0].split(":")[0]

    def ignored(folder: str, names: list[str]) -> list[str]:
        inside = wanted in Path(folder).parts
        return [
            name for name in names if name.startswith("dljax-") or not (inside or name == wanted)
        ]

    return ignored


def make_folder(root: Path, count: int) -> None:
    """A folder per class of `count` random PNGs to train on, and a fourth as many to test on."""
    rng = np.random.default_rng(0)
    for i in range(count + count // 4):
        part = "train" if i < count else "test"
        path = root / part / str(i % 10) / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)).save(path)


def task_of(augmentation: Any = None) -> loop.Task:
    return classifier.task(
        LeNet(10),
        optim.optimizer("nesterov", 0.01),
        image_shape=(SIDE, SIDE, 3),
        classes=10,
        augmentation=augmentation,
    )


def streaming(folder: str, repeats: int) -> dict[str, np.ndarray]:
    """Milliseconds a step [repeats], from memory and streamed."""
    size = (SIDE, SIDE)
    kept = images.in_memory_images(load_images(folder, None, size=size, quiet=True), BATCH)
    read = images.streamed_images(folder, None, BATCH, size=size)
    task = task_of()
    contestants = {
        "in memory": contest.in_turn(task, kept.train),
        "streamed": contest.in_turn(task, read.train),
    }
    for steps in contestants.values():
        steps(contest.STEPS)
    return contest.interleaved(contestants, repeats)


def augmentations(repeats: int) -> dict[str, np.ndarray]:
    """Milliseconds a step [repeats] with each augmentation."""
    rng = np.random.default_rng(0)
    arrays = {
        "image": rng.integers(0, 256, (IMAGES, SIDE, SIDE, 3), np.uint8),
        "label": rng.integers(0, 10, IMAGES).astype(np.int32),
    }
    data = feed.in_memory(arrays, BATCH)
    contestants = {name: contest.in_turn(task_of(a), data) for name, a in AUGMENTATIONS.items()}
    for steps in contestants.values():
        steps(contest.STEPS)
    return contest.interleaved(contestants, repeats)


if __name__ == "__main__":
    main()
