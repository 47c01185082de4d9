"""What detection and segmentation cost beside their peers, both sides in one run.

    python -m benchmarks.detection [--workdir=DIR] [--repeats=9]

Training steps of object_detection's default network and of a U-Net on scenes in the loop's own
scan, with the same weights, loss and batch as in PyTorch eager (contiguous and channels_last; SGD
with momentum, no augmentation); the losses of three steps must agree. Greedy suppression of 1,000
boxes, compiled, against a loop in PyTorch that drops by one overlap row a turn. COCO's scores of
5,000 images against pycocotools, which must agree.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax

from benchmarks import contest
from dljax.apps.configs import object_detection
from dljax.apps.detection.training import network, strides
from dljax.cnn.detection import boxes as boxes_
from dljax.cnn.detection import coco_metrics, suppression
from dljax.cnn.detection import detector as detection
from dljax.cnn.segmentation import segmenter
from dljax.data import feed
from dljax.data.sources.scenes import CLASSES, MASK_CLASSES, scenes
from dljax.nn.unet import UNet
from dljax.train import loop, report
from dljax.train.parallel import place

try:
    import torch
    import torch.nn.functional as F

    from benchmarks import detection_twin, twins
except ImportError:
    torch = None  # benchmarks.gpu, which imports this, runs without

SIDE, UNET = 96, (16, 32, 64, 96)  # of scenes; channels of the U-Net


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", type=Path, help="where summary.json goes")
    parser.add_argument("--repeats", type=int, default=9, help="timed stretches of each")
    flags = parser.parse_args()
    if torch is None or importlib.util.find_spec("pycocotools") is None:
        raise SystemExit(
            "benchmarks.detection compares with PyTorch and COCO's own scores: "
            "pip install torch pycocotools"
        )
    print(f"{report.device_name()}, {torch.get_num_threads()} threads; ", end="")
    print(f"jax {jax.__version__}, torch {torch.__version__}")
    begin, metrics = time.perf_counter(), {}
    for name, contestants in (("detector", detectors()), ("U-Net", unets())):
        contest.check_equal(name, contestants)
        times = contest.interleaved(contestants, flags.repeats)
        metrics[f"{name}, step: dljax / best of torch"] = contest.tell(
            f"{name}, step", times, tuple(twins.LAYOUTS)
        )
    metrics["suppression of 1,000 boxes: dljax / torch's loop"] = suppressions(flags.repeats)
    metrics["scores of 5,000 images: dljax / pycocotools"] = scorers()
    contest.finish("detection", flags.workdir, {"repeats": flags.repeats}, metrics, begin)


def detectors() -> dict[str, contest.Steps]:
    """The default detector on scenes, in our loop and in PyTorch."""
    config = object_detection.Config()
    task, batch = detector(config)
    params = one_seed(task).params
    twin = partial(detector_twin, config, params)
    return contestants(task, batch, twin, detector_loss(config, batch))


def detector(config: object_detection.Config, side: int = SIDE) -> tuple[loop.Task, dict]:
    """A detector's task, without augmentation and with SGD, and a batch of scenes."""
    task = detection.task(
        network(config, len(CLASSES)),
        optax.sgd(contest.RATE, contest.MOMENTUM),
        image_shape=(side, side, 3),
        strides=strides(config),
    )
    return task, batch_of(config.batch_size, ("image", "boxes", "labels", "flags"), side)


def detector_twin(config: object_detection.Config, params: Any) -> torch.nn.Module:
    """The detector in PyTorch."""
    levels = len(strides(config))
    return detection_twin.Detector(
        params, config.widths, levels, config.width, config.depth, len(CLASSES)
    )


def detector_loss(
    config: object_detection.Config, batch: dict[str, np.ndarray], device: str = "cpu"
) -> Callable[[Callable, torch.Tensor], torch.Tensor]:
    """What the detector in PyTorch descends: (net, images) -> loss."""
    grid = boxes_.grid(batch["image"].shape[1:3], strides(config))
    truth = torch.tensor(batch["boxes"]), torch.tensor(batch["labels"]).long()
    given = [x.to(device) for x in (*truth, *map(torch.tensor, grid))]
    return lambda net, images: detection_twin.loss(*net(images), *given)


def unets() -> dict[str, contest.Steps]:
    """A U-Net on scenes, in our loop and in PyTorch."""
    model = UNet(len(MASK_CLASSES), UNET)
    batch = batch_of(16, ("image", "mask"))
    task = segmenter.task(
        model,
        optax.sgd(contest.RATE, contest.MOMENTUM),
        image_shape=(SIDE, SIDE, 3),
        classes=len(MASK_CLASSES),
    )
    params = one_seed(task).params
    mask = torch.tensor(batch["mask"]).long()

    def loss(net: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(net(images), mask)

    def twin() -> torch.nn.Module:
        return twins.UNet(params, 3, UNET, len(MASK_CLASSES))

    return contestants(task, batch, twin, loss)


def batch_of(count: int, names: tuple[str, ...], side: int = SIDE) -> dict[str, np.ndarray]:
    found = scenes(count, "train", size=side)
    return {name: found[name] for name in names}


def one_seed(task: loop.Task) -> Any:
    """The State of seed 0 at the start of a run."""
    states = loop.start(task, [0], place("none")).states
    return jax.tree.map(lambda x: np.asarray(x[0]), states)


def contestants(
    task: loop.Task, batch: dict[str, np.ndarray], twin: Any, loss: Any
) -> dict[str, contest.Steps]:
    """Ours, and PyTorch in both layouts: twin() makes its network, loss(net, images) a scalar."""
    found = {"dljax": contest.in_turn(task, feed.in_memory(batch, len(batch["image"])))}
    for name, layout in twins.LAYOUTS.items():
        found[name] = eager(twin(), batch["image"], layout, loss)
    return found


def eager(net: torch.nn.Module, images: np.ndarray, layout: Any, loss: Any) -> contest.Steps:
    """A contestant that steps in PyTorch."""
    net, pixels = net.to(memory_format=layout), twins.pictures(images, layout)
    return twins.eager(net, lambda net: loss(net, pixels.float() / 255))


def suppressions(repeats: int) -> np.ndarray:
    """Ratios [repeats] of our time to torch's for 1,000 boxes, of which about half are kept."""
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 500, (1000, 2))
    found = np.concatenate([corner, corner + rng.uniform(20, 80, (1000, 2))], 1).astype(np.float32)
    scores = np.sort(rng.uniform(0.01, 1, 1000).astype(np.float32))[::-1].copy()
    ours = jax.jit(suppression.keep)
    device = jax.device_put((found, scores))
    theirs = torch.tensor(found), torch.tensor(scores)
    kept = np.flatnonzero(ours(*device, 0.5))
    if kept.tolist() != detection_twin.keep(*theirs, 0.5):
        raise ValueError("suppression: other boxes are kept than by torch's loop")
    times = {"dljax": [], "torch": []}
    for _ in range(repeats):
        begin = time.perf_counter()
        for _ in range(20):
            ours(*device, 0.5).block_until_ready()
        middle = time.perf_counter()
        for _ in range(3):
            detection_twin.keep(*theirs, 0.5)
        end = time.perf_counter()
        times["dljax"].append(1e3 * (middle - begin) / 20)
        times["torch"].append(1e3 * (end - middle) / 3)
    print(f"\nsuppression of 1,000 boxes ({len(kept)} kept), ms, median: ", end="")
    print(", ".join(f"{name} {np.median(ms):.2f}" for name, ms in times.items()))
    return np.array(times["dljax"]) / np.array(times["torch"])


def scorers(images: int = 5000, classes: int = 20, repeats: int = 3) -> np.ndarray:
    """Ratios [repeats] of our time to pycocotools' for the scores of random detections."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    drawn = list(drawn_images(images, classes))
    annotations, results = [], []
    for image, (found, guess, scores, truth, labels) in enumerate(drawn):
        for box, label in zip(truth, labels, strict=True):
            annotations.append(
                {"id": len(annotations) + 1, "iscrowd": 0, **entry(image, box, label)}
            )
        for box, label, score in zip(found, guess, scores, strict=True):
            results.append({"score": score, **entry(image, box, label)})
    reference = COCO()
    reference.dataset = {
        "images": [{"id": image} for image in range(images)],
        "categories": [{"id": label} for label in range(classes)],
        "annotations": annotations,
    }
    with contextlib.redirect_stdout(io.StringIO()):
        reference.createIndex()
        theirs = reference.loadRes(results)

    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        evaluation = coco_metrics.Evaluation(classes)
        for one in drawn:
            evaluation.add(*one)
        ours = evaluation.coco()
        middle = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):
            run = COCOeval(reference, theirs, "bbox")
            run.evaluate()
            run.accumulate()
            run.summarize()
        end = time.perf_counter()
        if abs(ours["ap"] - run.stats[0]) > 1e-9:
            raise ValueError(f"scores: AP {ours['ap']}, pycocotools' {run.stats[0]}")
        times.append((middle - begin, end - middle))
    mine, other = np.median(times, 0)
    print(f"\nscores of {images} images, seconds, median: dljax {mine:.1f}, ", end="")
    print(f"pycocotools {other:.1f} (of lists that are ready)")
    return np.array([a / b for a, b in times])


def drawn_images(count: int, classes: int) -> Iterator[tuple[np.ndarray, ...]]:
    """Boxes, labels and scores of detections near about seven objects, and these."""
    rng = np.random.default_rng(0)
    for _ in range(count):
        objects = int(rng.integers(1, 14))
        corner = rng.uniform(0, 500, (objects, 2))
        truth = np.concatenate([corner, corner + rng.uniform(10, 140, (objects, 2))], 1)
        labels = rng.integers(0, classes, objects)
        pick = rng.integers(0, objects, 2 * objects)
        found = truth[pick] + rng.normal(0, 5, (len(pick), 4))
        found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 1)
        guess = np.where(rng.random(len(pick)) < 0.8, labels[pick], 0)
        yield found, guess, rng.random(len(pick)), truth, labels


def entry(image: int, box: np.ndarray, label: int) -> dict[str, Any]:
    sides = [*box[:2].tolist(), *(box[2:] - box[:2]).tolist()]
    area = sides[2] * sides[3]
    return {"image_id": image, "category_id": int(label), "bbox": sides, "area": area}


if __name__ == "__main__":
    main()
