"""Real processes on this machine: the numbers of one, one set of files, and an end when one dies.

They share their starts, which take most of the time: each start trains several things, and the last
of them is stopped by a signal to one of the processes.
"""

import functools
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from dljax.run import processes, workdirs
from dljax.run.config import to_json
from dljax.train import checkpoint
from dljax.train.loop import Interrupted
from tests.helpers import assert_close, assert_same, devices
from tests.run import process_tasks

ROOT = Path(__file__).parents[2]
LONG = 240  # seconds after which something hangs
TASKS = ("classification", "recurrent", "ppo")


class Group:
    """Processes of one run of process_tasks (or what `how` and `words` say), those of `indices`."""

    def __init__(self, count, workdir, *words, how="-m", indices=None):
        if how == "-m":
            words = ("tests.run.process_tasks", f"--workdir={workdir}", *words)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        device = "--xla_force_host_platform_device_count=1"
        environment = {
            **os.environ,
            "XLA_FLAGS": re.sub(r"--xla_force_host\S+", device, os.environ["XLA_FLAGS"]),
            "JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{self.port}",
            "JAX_NUM_PROCESSES": str(count),
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        self.processes = {
            index: subprocess.Popen(
                [sys.executable, how, *words],
                cwd=ROOT,
                env={**environment, "JAX_PROCESS_ID": str(index)},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            for index in indices or range(count)
        }

    def ends(self):
        """Exit code and standard error of each."""
        try:
            found = {i: (p.communicate(timeout=LONG)[1], p) for i, p in self.processes.items()}
        finally:
            for process in self.processes.values():
                process.kill()
        return {i: (process.returncode, text) for i, (text, process) in found.items()}


def stop(group, folder, index, signum, kept=None):
    """Sends the signal to one, while process 0 waits and the others wait for process 0."""
    wait_for(group, lambda: (folder / "waiting").exists())
    if kept:
        wait_for(group, lambda: (folder / "checkpoints" / str(kept)).exists())
    group.processes[index].send_signal(signum)
    (folder / "waiting").unlink()
    if signum == signal.SIGTERM:
        (folder / "go").touch()
    ends = group.ends()
    (folder / "go").unlink(missing_ok=True)
    return ends


def wait_for(group, happened):
    end = time.monotonic() + LONG
    while not happened():
        if time.monotonic() > end or any(p.poll() for p in group.processes.values()):
            pytest.fail(f"the processes ended early: {group.ends()}")
        time.sleep(0.05)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("processes")


@pytest.fixture(scope="module")
def two(folder):
    """Two processes: three runs to their end, then one that SIGTERM to process 1 interrupts."""
    last = folder / "classification-again"
    tasks = f"--tasks={','.join([*TASKS, last.name])}"
    return stop(Group(2, last, tasks, "--stop_at=4"), last, 1, signal.SIGTERM)


@pytest.fixture(scope="module")
def three(folder):
    """Three processes: a run to its end, then one in which process 2 is killed."""
    last = folder / "three/classification"
    tasks = "--tasks=recurrent,classification"
    group = Group(3, last, tasks, "--stop_at=4")
    return stop(group, last, 2, signal.SIGKILL, kept=2)


@pytest.fixture(scope="module")
def one(folder):
    """name -> the same run by one process with two devices."""

    @functools.cache
    def train(name):
        config = process_tasks.Config(workdir=str(folder / "one/x"))
        return process_tasks.train(config, name, placement=devices(2)).run

    return train


def saved(folder):
    """The newest state in a folder, nested dictionaries of arrays."""
    step = max(int(path.name) for path in (folder / "checkpoints").iterdir())
    return checkpoint.arrays(folder / "checkpoints" / str(step) / "run")


def lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("name", TASKS)
def test_two_processes_compute_what_one_with_two_devices_does(two, one, folder, name):
    one(name)
    assert_close(saved(folder / name), saved(folder / "one" / name), 1e-5)
    ours, theirs = lines(folder / name), lines(folder / "one" / name)
    assert [line["step"] for line in ours] == [2, 4, 6, 8]  # each once
    for a, b in zip(ours, theirs, strict=True):
        assert a.keys() == b.keys()
        for metric in a.keys() - {"step", "seconds"}:
            np.testing.assert_allclose(a[metric]["mean"], b[metric]["mean"], atol=1e-4)
    assert len(list((folder / name / "tensorboard").glob("events*"))) == 1


def test_each_process_reads_its_share_of_a_stream(two, folder):
    read = [json.loads((folder / f"classification/read-{i}.json").read_text()) for i in (0, 1)]
    (train_0, test_0), (train_1, test_1) = read
    # eight batches of 12 are two epochs of 48; the 21 test images were read at four evaluations
    assert len(train_0) == len(train_1) == 48
    assert sorted(train_0 + train_1) == sorted(2 * [*range(48)])
    assert sorted(test_0 + test_1) == sorted(4 * [*range(21)])


def test_sigterm_to_one_saves_and_ends_both(two, folder):
    for index, (code, text) in two.items():
        assert code == 143, text
        assert re.search(r"^SIGTERM: saved at step [45]; go on with: python", text), (index, text)
        assert text.count("\n") == 1, text


def test_sigkill_of_one_ends_the_others_with_a_line(three):
    assert three[2][0] == -signal.SIGKILL
    for code, text in (three[0], three[1]):
        assert code == processes.GONE, text
        assert text.startswith("error: process 2 of 3 is gone"), text
        assert "the checkpoint of step 2 is kept; start all processes again with:" in text
        assert text.count("\n") == 1, text


def test_three_processes_compute_what_one_with_two_devices_does(three, one, folder):
    one("recurrent")
    assert_close(saved(folder / "three/recurrent"), saved(folder / "one/recurrent"), 1e-5)


def test_another_number_of_processes_goes_on(three, one, folder):
    config = process_tasks.Config(workdir=str(folder / "three/x"))
    run = process_tasks.train(config, "classification", placement=devices(2)).run
    assert_close(run.states, one("classification").states, 1e-5)
    assert [line["step"] for line in lines(folder / "three/classification")] == [2, 4, 6, 8]


def test_killed_and_started_again_it_ends_with_the_same_bits(two, folder):
    """Process 0 is killed, which is the one that jax's own service lives in."""
    again = folder / "classification-again"
    tasks = f"--tasks={again.name}"
    ends = stop(Group(2, again, tasks, "--stop_at=6"), again, 0, signal.SIGKILL)
    assert ends[0][0] == -signal.SIGKILL
    code, text = ends[1]
    assert code == processes.GONE and text.startswith("error: process 0 of 2 is gone"), text
    assert "is kept; start all processes again" in text and text.count("\n") == 1
    ends = Group(2, again, tasks).ends()
    assert [code for code, _ in ends.values()] == [0, 0], ends
    assert_same(saved(again), saved(folder / "classification"))


@pytest.mark.parametrize(
    "error, waits",
    [
        (ValueError("UNKNOWN: Gloo AllGather failed: Connection reset by peer"), True),
        (OSError("disk full"), True),
        (Interrupted(signal.SIGTERM, 3, True), False),  # all processes have agreed on it
        (KeyboardInterrupt(), False),
    ],
)
def test_an_error_waits_for_the_news_of_another_end(monkeypatch, error, waits):
    waited = []
    monkeypatch.setattr(processes.time, "sleep", waited.append)
    processes.wait_for_reason(error)
    assert not waited, "there is one process"
    monkeypatch.setattr(processes, "_watch", processes._Watch)
    processes.wait_for_reason(error)
    assert bool(waited) == waits


def test_a_process_that_never_comes_is_named(monkeypatch):
    monkeypatch.setenv(processes.TIMEOUT, "1")
    code = "from dljax.run import processes; processes.initialize()"
    ends = Group(4, None, code, how="-c", indices=(0, 2)).ends()
    for code, text in ends.values():
        assert code == processes.GONE, text
        assert text.startswith("error: processes 1, 3 of 4 did not come to 127.0.0.1:"), text


@pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="Linux alone has it")
def test_the_thread_of_the_network_goes_behind_the_others(monkeypatch):
    poll, work = select.epoll(), threading.Event()
    network = threading.Thread(target=poll.poll, args=(LONG,), daemon=True)
    other = threading.Thread(target=work.wait, daemon=True)

    def devices():
        for thread in (network, other):
            thread.start()
        while "epoll" not in Path(f"/proc/self/task/{network.native_id}/wchan").read_text():
            time.sleep(0.01)

    monkeypatch.setattr(jax, "devices", devices)
    processes._let_training_go_first()
    assert os.sched_getscheduler(network.native_id) == os.SCHED_BATCH
    assert os.sched_getscheduler(other.native_id) == os.SCHED_OTHER
    work.set()


@pytest.mark.parametrize("seen", [(1, 1, 1), (1, 0, 0)])
def test_a_workdir_that_is_not_shared_is_refused(monkeypatch, tmp_path, seen):
    monkeypatch.setattr(jax, "process_count", lambda: 3)
    answers = iter([[7, 8, 9], [0, 0, 0], seen])
    monkeypatch.setattr(workdirs, "gathered", lambda value: np.array(next(answers)))
    if all(seen):
        workdirs.check_shared(tmp_path)
    else:
        with pytest.raises(ValueError, match="is another folder in process 1, 2 than in process 0"):
            workdirs.check_shared(tmp_path)
    assert not list(tmp_path.iterdir())


def test_other_flags_than_those_of_process_0_are_refused(monkeypatch):
    said = json.dumps(to_json(process_tasks.Config(steps=9)))
    monkeypatch.setattr(workdirs, "gathered_texts", lambda text: [said, text])
    workdirs.check_flags(process_tasks.Config(steps=9, quiet=False))
    with pytest.raises(ValueError, match="--steps of process 0 differs from that of process 0"):
        workdirs.check_flags(process_tasks.Config(steps=8))


SLURM = {
    "SLURM_NTASKS": "4", "SLURM_PROCID": "2", "SLURM_LOCALID": "0", "SLURM_JOB_ID": "4096",
    "SLURM_STEP_NODELIST": "node[3-6]",
}  # fmt: skip
OPEN_MPI = {
    "OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_LOCAL_RANK": "0",
    "OMPI_MCA_orte_hnp_uri": "1314521088.0;tcp://10.96.0.1,10.148.0.1:34911",
}  # fmt: skip
OWN = {
    "JAX_COORDINATOR_ADDRESS": "host:1234", "JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": "1"
}  # fmt: skip


def initialized(monkeypatch, environment):
    """What would be started: coordinator, count and index; () for what is left to jax."""
    calls = []
    monkeypatch.setattr(processes, "_start", lambda *args: calls.append(args[:3]))
    monkeypatch.setattr(jax.distributed, "initialize", lambda: calls.append(()))
    for name in (*SLURM, *OPEN_MPI, *OWN, "TPU_WORKER_HOSTNAMES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    processes.initialize()
    return calls


@pytest.mark.parametrize(
    "environment, call",
    [
        ({}, None),
        ({"SLURM_NTASKS": "1", "SLURM_PROCID": "0"}, None),
        ({"SLURM_NTASKS": "4"}, None),  # salloc: tasks, but this is not one of them
        (SLURM, ("node3:61440", 4, 2)),
        (OPEN_MPI, ("10.96.0.1:62880", 2, 1)),
        ({"TPU_WORKER_HOSTNAMES": "localhost"}, None),
        ({"TPU_WORKER_HOSTNAMES": "a,b"}, ()),
        (OWN, ("host:1234", 2, 1)),
    ],
)
def test_initialize(monkeypatch, environment, call):
    assert initialized(monkeypatch, environment) == ([] if call is None else [call])


@pytest.mark.parametrize(
    "environment, message",
    [
        ({**OWN, "JAX_NUM_PROCESSES": "two"}, "JAX_NUM_PROCESSES='two' is not a whole number"),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, "do not say where process 0 is"),
    ],
)
def test_a_description_that_cannot_be_read(monkeypatch, environment, message):
    with pytest.raises(ValueError, match=message):
        initialized(monkeypatch, environment)


def test_half_a_description(monkeypatch):
    half = {name: OWN[name] for name in ("JAX_COORDINATOR_ADDRESS", "JAX_PROCESS_ID")}
    with pytest.raises(ValueError, match="JAX_NUM_PROCESSES is not: set all three or none"):
        initialized(monkeypatch, half)


@pytest.mark.parametrize(
    "address, count, index, message",
    [
        ("host", 2, 0, "'host' is not of the form HOST:PORT"),
        ("host:1", 2, 2, "JAX_PROCESS_ID=2 of JAX_NUM_PROCESSES=2: they count from 0 to 1"),
    ],
)
def test_an_impossible_start(address, count, index, message):
    with pytest.raises(ValueError, match=message):
        processes._start(address, count, index)
