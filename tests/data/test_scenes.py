"""The embedded scenes: pure in (part, seed, index), tight boxes, masks that agree, parts apart."""

import itertools
import os
import signal
import subprocess
import threading

import numpy as np
import pytest

from dljax.data.sources import scenes as module
from dljax.data.sources.scenes import CLASSES, OBJECTS, SceneSource, scenes
from dljax.data.sources.vision import load_boxes, load_masks, truth


@pytest.fixture(scope="module")
def made():
    return scenes(60, "train", size=64)


def test_a_scene_is_a_function_of_part_seed_and_index(made):
    source = SceneSource(1000, "train", size=64)
    for index in (59, 3):
        for name, value in source[index].items():
            np.testing.assert_array_equal(value, made[name][index])
    for other in (SceneSource(9, "test", size=64), SceneSource(9, "train", size=64, seed=1)):
        assert (other[3]["image"] != made["image"][3]).any()
    with pytest.raises(IndexError):
        source[1000]


def test_processes_draw_the_same_scenes(made, monkeypatch):
    monkeypatch.setattr(module, "MANY", 2)
    monkeypatch.setattr(module.workers, "WORKERS", 3)
    for name, found in scenes(7, "train", size=64).items():
        np.testing.assert_array_equal(found, made[name][:7])


def test_a_process_that_fails_is_one_line(monkeypatch):
    monkeypatch.setattr(module, "MANY", 2)
    monkeypatch.setattr(module.workers.sys, "executable", "false")
    with pytest.raises(ValueError, match="scenes could not be drawn: exit code 1$"):
        scenes(7, "train", size=64)


def test_a_process_that_is_killed_ends_the_others_at_once(monkeypatch):
    """Not after what they still have to draw."""
    started, popen = [], subprocess.Popen
    monkeypatch.setattr(module.workers, "WORKERS", 2)
    monkeypatch.setattr(
        subprocess,
        "Popen",
        lambda *words, **how: started.append(popen(*words, **how)) or started[-1],
    )
    monkeypatch.setattr("tqdm.tqdm.update", lambda bar, more: started[1].kill())
    with pytest.raises(ValueError, match="a process was killed, perhaps for want of memory"):
        scenes(20_000, "train", size=32)
    assert [process.returncode for process in started] == [-signal.SIGKILL] * 2


def test_ctrl_c_while_processes_draw_is_told_once(ctrl_c, monkeypatch):
    """The threads that read end with the workers, and say nothing."""
    said, drawn, threads = [], itertools.count(), set(threading.enumerate())
    monkeypatch.setattr(threading, "excepthook", said.append)
    monkeypatch.setattr(module.workers, "WORKERS", 2)
    monkeypatch.setattr(
        "tqdm.tqdm.update", lambda bar, more: next(drawn) or os.kill(os.getpid(), signal.SIGINT)
    )
    with pytest.raises(KeyboardInterrupt):
        scenes(1000, "train", size=64)
    assert not said and not {x for x in threading.enumerate() if "Pool" in x.name} - threads


def test_a_bar_that_cannot_be_drawn_ends_the_drawing(monkeypatch):
    """As where standard error is a pipe that nobody reads any more: it hung."""

    def broken(bar, more):
        raise BrokenPipeError

    monkeypatch.setattr(module.workers, "WORKERS", 2)
    monkeypatch.setattr("tqdm.tqdm.update", broken)
    with pytest.raises(BrokenPipeError):
        scenes(1000, "train", size=64)


def test_shapes_and_types(made):
    shapes = {name: (array.dtype.name, *array.shape[1:]) for name, array in made.items()}
    assert shapes == {
        "image": ("uint8", 64, 64, 3),
        "boxes": ("float32", OBJECTS, 4),
        "labels": ("int32", OBJECTS),
        "flags": ("uint8", OBJECTS),
        "size": ("int32", 2),
        "mask": ("uint8", 64, 64),
        "instance": ("uint8", 64, 64),
    }


def test_boxes_are_tight_and_masks_agree(made):
    for boxes, labels, mask, instance in zip(
        made["boxes"], made["labels"], made["mask"], made["instance"], strict=True
    ):
        count = (labels >= 0).sum()
        assert count >= 1 and (labels[count:] == -1).all() and not boxes[count:].any()
        np.testing.assert_array_equal(mask > 0, instance > 0)
        assert instance.max() == count
        for k in range(count):
            y, x = np.nonzero(instance == k + 1)
            assert boxes[k].tolist() == [x.min(), y.min(), x.max() + 1, y.max() + 1]
            assert set(mask[y, x]) == {labels[k] + 1}


def test_every_digit_and_count_occurs_and_some_are_hidden(made):
    assert set(made["labels"].ravel()) == set(range(-1, 10))
    assert set((made["labels"] >= 0).sum(1)) == set(range(1, OBJECTS + 1))
    a, b = made["boxes"][:, :, None], made["boxes"][:, None]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    overlap = (np.clip(sides, 0, None).prod(-1) * (1 - np.eye(OBJECTS))).max((1, 2))
    assert (overlap > 0).mean() > 0.2


def test_no_scan_is_in_two_parts():
    parts = module._scans()
    scans = {part: {x.tobytes() for x in images} for part, (images, _) in parts.items()}
    assert [len(parts[x][0]) for x in ("train", "validation", "test")] == [1197, 240, 360]
    assert not scans["train"] & scans["test"] and not scans["validation"] & scans["test"]
    assert not scans["train"] & scans["validation"]


def test_as_a_data_set():
    boxes, masks = load_boxes("scenes", (48, 48)), load_masks("scenes", (48, 48))
    assert boxes.classes == CLASSES and masks.classes == ("background", *CLASSES)
    example = boxes.test[0]
    np.testing.assert_array_equal(example["image"], masks.test[0]["image"])
    found = truth(SceneSource(3, "test", size=48))
    count = (example["labels"] >= 0).sum()
    np.testing.assert_array_equal(found[0].boxes, example["boxes"][:count])
    assert found[0].size == (48, 48) and found[0].areas[0] == np.prod(
        found[0].boxes[0, 2:] - found[0].boxes[0, :2]
    )
    with pytest.raises(ValueError, match="square"):
        load_boxes("scenes", (48, 64))
    with pytest.raises(ValueError, match="32 pixels or more"):
        load_masks("scenes", (16, 16))


@pytest.mark.parametrize("side", [16, 24])
def test_training_scans_are_turned_about_their_centre(side):
    """Not at all: the plain enlargement. By a quarter: as numpy turns it."""
    scan = np.random.default_rng(0).random((8, 8)).astype(np.float32)
    stretch = module._stretch(side, 8)
    plain = stretch @ scan @ stretch.T
    np.testing.assert_allclose(module._turned(scan, side, 0.0, 0.0), plain, atol=1e-5)
    turned = module._turned(scan, side, np.pi / 2, 0.0)
    matches = [np.allclose(turned, np.rot90(plain, k), atol=1e-4) for k in range(4)]
    assert matches in ([False, True, False, False], [False, False, False, True])
