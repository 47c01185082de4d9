"""Checkpoints survive what happens: kills, damage, full disks, two writers, other devices."""

import errno
import os
import subprocess
import sys

import jax
import numpy as np
import optax
import pytest

from dljax.train import checkpoint, loop
from dljax.train.checkpoint import CheckpointError, Store
from tests import helpers
from tests.helpers import assert_same, devices

SEEDS = (1, 2)


def task():
    return helpers.toy(optax.adam(0.1))


@pytest.fixture(scope="module")
def fresh():
    return loop.start(task(), SEEDS, devices(1))


def at(run: loop.Run, step: int) -> loop.Run:
    states = {**run.states, "position": run.states["position"] + step}
    return run.replace(step=run.step * 0 + step, states=states)


def like(placement=None):
    return loop.abstract_run(task(), SEEDS, placement or devices(1))


@pytest.fixture
def saved(tmp_path, fresh):
    """A workdir with the checkpoints of steps 10 and 20."""
    with Store(tmp_path) as store:
        for step in (10, 20):
            store.save(step, at(fresh, step), {"step": step})
    return tmp_path


def test_what_is_read_is_what_was_written(saved, fresh):
    with Store(saved) as store:
        assert store.latest_step() == 20 and store.best_step() is None
        run, meta = store.restore(like())
        assert_same(run, at(fresh, 20))
        assert meta["step"] == 20
        assert_same(store.restore(like(), step=10)[0], at(fresh, 10))


def test_nothing_saved_yet(tmp_path):
    with Store(tmp_path) as store:
        assert store.latest_step() is None and store.best_step() is None
        assert store.restore(like()) is None
    with pytest.raises(FileNotFoundError, match="holds no checkpoint"):
        Store(tmp_path / "elsewhere", read_only=True)
    assert not (tmp_path / "elsewhere").exists()


def test_the_newest_and_the_best_are_kept(tmp_path, fresh):
    scores = {10: 0.5, 20: 0.9, 30: None, 40: 0.7, 50: float("nan"), 60: 0.9, 70: 0.1}
    with Store(tmp_path, keep=2) as store:
        for step, score in scores.items():
            store.save(step, at(fresh, step), {}, score)
        store.wait()
        best = store.best_step()
        assert best in (20, 60)
    kept = {int(path.name) for path in (tmp_path / "checkpoints").iterdir() if path.name.isdigit()}
    assert kept == {best, 60, 70}
    with Store(tmp_path, read_only=True) as store:
        assert store.best_step() == best


def data_files(folder):
    return [
        p for p in folder.rglob("*") if p.is_file() and p.parent.name == "d" and p.stat().st_size
    ]


def truncate(folder):
    for path in data_files(folder):
        os.truncate(path, path.stat().st_size // 2)


def flip(folder):
    for path in data_files(folder):  # orbax keeps some content twice: damage it all
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 255
        path.write_bytes(content)


def remove_data(folder):
    for path in data_files(folder):
        path.unlink()


def remove_meta(folder):
    for path in (folder / "meta").rglob("*"):
        if path.is_file():
            path.unlink()


def remove_metrics(folder):
    for path in (folder / "metrics").rglob("*"):
        if path.is_file():
            path.unlink()


def empty(folder):
    for path in sorted(folder.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()


DAMAGES = [truncate, flip, remove_data, remove_meta, empty]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_newest_checkpoint(saved, fresh, damage):
    folder = saved / "checkpoints" / "20"
    assert data_files(folder)
    damage(folder)
    warnings = []
    with Store(saved, warn=warnings.append) as store:
        run, meta = store.restore(like())
        assert meta == {**meta, "step": 10}
        assert_same(run, at(fresh, 10))
        assert len(warnings) == 1 and "step 20 is damaged" in warnings[0]
        assert "\n" not in warnings[0]
        assert (saved / "checkpoints" / "damaged-20").is_dir()
        store.save(20, at(fresh, 20), {})
        store.save(30, at(fresh, 30), {})
    with Store(saved) as store:
        assert_same(store.restore(like())[0], at(fresh, 30))


def test_a_checkpoint_without_its_score(saved, fresh):
    remove_metrics(saved / "checkpoints" / "20")
    with Store(saved) as store:
        assert_same(store.restore(like())[0], at(fresh, 20))
        assert store.best_step() is None
        for step in (30, 40, 50):
            store.save(step, at(fresh, step), {}, 0.5)
    with Store(saved) as store:
        assert_same(store.restore(like())[0], at(fresh, 50))


def test_damaged_twice(saved, fresh):
    for _ in range(2):
        truncate(saved / "checkpoints" / "20")
        with Store(saved) as store:
            assert_same(store.restore(like())[0], at(fresh, 10))
            store.save(20, at(fresh, 20), {})
    with Store(saved) as store:
        assert_same(store.restore(like())[0], at(fresh, 20))


def test_all_damaged(saved):
    for step in ("10", "20"):
        truncate(saved / "checkpoints" / step)
    before = sorted(saved.rglob("*"))
    for _ in range(2):  # the second time it is as true as the first
        with (
            Store(saved) as store,
            pytest.raises(CheckpointError, match="no checkpoint in .* can be read") as error,
        ):
            store.restore(like())
        assert "\n" not in str(error.value)
    assert sorted(saved.rglob("*")) == before


def test_a_reader_sets_nothing_aside(saved, fresh):
    truncate(saved / "checkpoints" / "20")
    before = sorted(saved.rglob("*"))
    with Store(saved, read_only=True) as store:
        assert_same(store.restore(like())[0], at(fresh, 10))
    assert sorted(saved.rglob("*")) == before


def test_what_a_kill_leaves_is_cleaned(saved, fresh):
    left = saved / "checkpoints" / "30.orbax-checkpoint-tmp"
    (left / "run.orbax-checkpoint-tmp" / "d").mkdir(parents=True)
    (left / "run.orbax-checkpoint-tmp" / "d" / "half").write_bytes(b"half")
    with Store(saved) as store:
        assert store.latest_step() == 20
        assert_same(store.restore(like())[0], at(fresh, 20))
        store.save(30, at(fresh, 30), {})
    assert not left.exists()
    with Store(saved) as store:
        assert store.latest_step() == 30


@pytest.mark.parametrize("before, after", [(8, 1), (1, 8)])
def test_other_devices(tmp_path, before, after):
    old, new, batches = devices(before), devices(after), helpers.feed.empty()
    run, _ = helpers.run_steps(task(), batches, old, SEEDS, [3])
    with Store(tmp_path) as store:
        store.save(3, run, {})
    with Store(tmp_path) as store:
        found, _ = store.restore(like(new))
    assert_same(found, run)
    assert len(found.states["weights"].sharding.device_set) == after
    there, _ = helpers.run_steps(task(), batches, new, SEEDS, [4], run=found)
    here, _ = helpers.run_steps(task(), batches, old, SEEDS, [4], run=run, length=4)
    helpers.assert_close(there, here, atol=1e-6)


def test_the_run_may_be_donated_at_once(tmp_path):
    run = loop.start(task(), SEEDS, devices(1))
    expected = helpers.bits(run)
    with Store(tmp_path) as store:
        store.save(1, run, {})
        for leaf in jax.tree.leaves(run):
            leaf.delete()
        store.wait()
        assert_same(store.restore(like())[0], expected)


def test_a_full_disk(saved, fresh, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with Store(saved) as store:
        monkeypatch.setattr(store._manager, "save", full)
        with pytest.raises(CheckpointError) as error:
            store.save(30, at(fresh, 30), {})
    message = "could not write a checkpoint: the disk is full; the checkpoint of step 20 is intact"
    assert str(error.value) == message
    with Store(saved) as store:
        assert_same(store.restore(like())[0], at(fresh, 20))


HOLD = """
import sys
from dljax.train.checkpoint import CheckpointError, lock
try:
    with lock(sys.argv[1]):
        print("held")
except CheckpointError as error:
    print(error)
"""


def test_one_process_a_workdir(tmp_path):
    def other() -> str:
        command = [sys.executable, "-c", HOLD, str(tmp_path / "run")]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    with checkpoint.lock(tmp_path / "run"):
        expected = f"in use by another process (pid {os.getpid()}): wait for it, or choose another"
        assert expected in other()
    assert other() == "held"


def test_digest_sees_every_bit(fresh):
    digest = checkpoint._digest(fresh)
    states = dict(fresh.states)
    states["weights"] = states["weights"].at[1, 2].set(np.float32(1e-45))
    assert checkpoint._digest(fresh.replace(states=states)) != digest
    assert checkpoint._digest(fresh.replace(keys=fresh.keys[::-1])) != digest
    assert checkpoint._digest(fresh) == digest


@pytest.mark.parametrize("dtype", ["bool", "int8", "bfloat16", "float32", "uint32"])
def test_one_process_digests_as_several_do(dtype):
    x = jax.random.normal(jax.random.key(0), (3, 7001)).astype(dtype)
    assert checkpoint._bits(np.asarray(x)) == int(checkpoint._bits_of_all(x)) > 0


def test_no_device_waits_for_another_to_take_a_digest(monkeypatch, fresh):
    """Programs that add up over devices, several at once, can wait for each other without end."""
    monkeypatch.setattr(checkpoint, "_bits_of_all", None)
    spread = loop.start(task(), SEEDS, devices(2, "replica"))
    assert {len(x.devices()) for x in jax.tree.leaves(spread.states)} == {2}
    assert checkpoint._digest(spread) == checkpoint._digest(fresh)


def test_a_checkpoint_of_another_network_is_told_in_our_words(tmp_path, fresh):
    """Not in orbax's: its array is named, with both shapes, before anything is read."""
    with Store(tmp_path) as store:
        store.save(3, fresh, {"dropped": []})
        store.wait()
        with pytest.raises(CheckpointError) as caught:
            store.restore(loop.abstract_run(task(), (0, 1, 2), devices(1)))
        assert_same(store.restore(like())[0], fresh)
    said = str(caught.value)
    assert "of another network or configuration: keys has the shape (2, 2) in it and (3, 2)" in said
    assert "orbax" not in said and "strict" not in said and "\n" not in said
