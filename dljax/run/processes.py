"""Several processes of one run: they start together, and where one ends, all end and say why.

Process 0 listens at the coordinator's address. Every other process keeps one connection to it, by
which all learn at once that a process has failed or, as the kernel closes its sockets, that it has
been killed; TCP's keepalive finds a host that has lost its power or its network. The traffic of
jax.distributed goes through the same port: a process has a relay on its own host, which stays up
when process 0 dies: jax would else abort the process, with pages of stack, before it says why.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import json
import os
import platform
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NoReturn

import jax

from dljax.train.loop import Interrupted

GONE = 75
"""Exit code where another process is gone or never came: EX_TEMPFAIL of sysexits.h, "try again"."""

TIMEOUT = "DLJAX_START_TIMEOUT"
KEEPALIVE = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 20_000}
GRACE = 5.0  # seconds in which the true reason of an error arrives, where another process is it
NEVER = 7 * 24 * 3600  # seconds: jax's own time limits, which the connections here stand in for

_watch: _Watch | None = None
_advice: Callable[[], str] = str


def initialize() -> None:
    """Starts jax.distributed when the environment describes several processes; else does nothing.

    Understood: JAX_COORDINATOR_ADDRESS with JAX_NUM_PROCESSES and JAX_PROCESS_ID (any cluster), a
    SLURM or Open MPI job of several tasks, and a TPU pod slice (which jax itself recognises; it is
    left to jax's own watch). Waits for the others as many seconds as DLJAX_START_TIMEOUT says, 300
    by default; then ends the process with the code GONE and a line that names those missing.
    Raises ValueError for half a description.
    """
    env = os.environ
    if "JAX_COORDINATOR_ADDRESS" in env:
        names = ("JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
        if missing := [name for name in names if name not in env]:
            raise ValueError(
                f"JAX_COORDINATOR_ADDRESS is set but {' and '.join(missing)} is not: "
                "set all three or none"
            )
        count, index = (_number(name) for name in names)
        _start(env["JAX_COORDINATOR_ADDRESS"], count, index)
    elif (int(env.get("SLURM_NTASKS", 1)) > 1 and "SLURM_PROCID" in env) or int(
        env.get("OMPI_COMM_WORLD_SIZE", 1)
    ) > 1:
        from jax._src.clusters import ClusterEnv  # as jax.distributed.initialize() itself asks

        found = ClusterEnv.auto_detect_unset_distributed_params(None, None, None, None, None, 60)
        if None in found[:3]:
            raise ValueError(
                "the launcher's variables do not say where process 0 is: set "
                "JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID"
            )
        _start(*found)
    elif "," in env.get("TPU_WORKER_HOSTNAMES", ""):
        jax.distributed.initialize()


def _number(name: str, default: str = "") -> int:
    text = os.environ.get(name, default)
    if not text.isdigit():
        raise ValueError(f"{name}={text!r} is not a whole number")
    return int(text)


def _start(address: str, count: int, index: int, devices: Any = None) -> None:
    global _watch
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ValueError(f"JAX_COORDINATOR_ADDRESS={address!r} is not of the form HOST:PORT")
    if not 0 <= index < count:
        raise ValueError(
            f"JAX_PROCESS_ID={index} of JAX_NUM_PROCESSES={count}: they count from 0 to {count - 1}"
        )
    if count == 1:
        return
    _watch = _Watch(host.strip("[]"), int(port), count, index, _number(TIMEOUT, "300"))
    relay = _watch.start()
    jax.distributed.initialize(
        relay,
        count,
        index,
        local_device_ids=devices,
        coordinator_bind_address=relay,
        heartbeat_timeout_seconds=NEVER,
        shutdown_timeout_seconds=NEVER,
    )
    _let_training_go_first()
    atexit.register(_watch.leave)  # called before jax's own, which waits for all
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _watch.terminated)  # in the place of jax's own


def _let_training_go_first() -> None:
    """Starts jax's devices, and puts the thread of their network behind the others of its core.

    gloo's thread, woken by a message, pushes a computing thread from the core that they share;
    where that holds gloo's lock, it tries for it without a rest until the kernel's next tick, 4 ms
    later. With SCHED_BATCH (sched(7), Linux alone has it) being woken pushes nothing away.
    """
    if not hasattr(os, "SCHED_BATCH"):
        return
    tasks = Path("/proc/self/task")
    before = set(os.listdir(tasks))
    jax.devices()
    for task in set(os.listdir(tasks)) - before:
        with contextlib.suppress(OSError):  # it has ended, or a container forbids it
            if "epoll" in (tasks / task / "wchan").read_text():
                os.sched_setscheduler(int(task), os.SCHED_BATCH, os.sched_param(0))


def advise(advice: Callable[[], str]) -> None:
    """What to do where another process has gone: asked when it has, for the end of the line."""
    global _advice
    _advice = advice


def wait_for_reason(error: BaseException) -> None:
    """Waits, where an error may be but the consequence of another process's end.

    A collective fails before the news of why it does arrive; they end this process. What it fails
    with may be any error: of gloo, jax makes a ValueError.
    """
    if _watch and not isinstance(error, KeyboardInterrupt | Interrupted | SystemExit):
        time.sleep(GRACE)


def end_others(error: BaseException, code: int | None, line: str) -> None:
    """Ends all processes, where there are several, as this one cannot go on: exits with `code`.

    code, line: exit code and reason; None: a defect, whose traceback is printed here. Returns where
    there is one process, and after a signal, which all processes have agreed on.
    """
    if _watch is None or isinstance(error, Interrupted | SystemExit):
        return
    if code is None:
        sys.excepthook(type(error), error, error.__traceback__)
        line = f"{type(error).__name__}: {error}"
    _watch.fail(code or 1, line.partition("\n")[0].removeprefix("error: "))


class _Watch:
    """The connections of one process to the others, served by a thread of their own."""

    def __init__(self, host: str, port: int, count: int, index: int, patience: int):
        self.host, self.port, self.count, self.index = host, port, count, index
        self.patience = patience
        self.members: dict[int, asyncio.StreamWriter] = {}  # of process 0; of others, {0: ...}
        self.left: set[int] = set()  # whose work is done
        self.ending = False
        self.loop = asyncio.new_event_loop()
        self.together = threading.Event()
        self.refused: OSError | None = None

    def start(self) -> str:
        """Returns when all are there; the address that this process's jax is to use."""
        self.door = socket.create_server(("127.0.0.1", 0))  # held, lest another takes its port
        self.relay = self.door.getsockname()[1]
        if self.index == 0:
            self.door.close()  # jax's service will listen there
        threading.Thread(target=self._serve, name="dljax processes", daemon=True).start()
        self.together.wait()
        if self.refused:
            raise self.refused
        return f"127.0.0.1:{self.relay}"

    def fail(self, code: int, line: str) -> NoReturn:
        """Tells the others, and exits."""
        sys.stdout.flush()
        sys.stderr.flush()
        self._run(self._end(code, f"process {self.index} of {self.count} has ended: {line}", False))
        os._exit(code)

    def terminated(self, signum: int, frame: Any) -> None:
        self.fail(128 + signum, signal.Signals(signum).name)

    def leave(self) -> None:
        self._run(self._tell({"left": self.index}))

    def _run(self, work: Coroutine) -> None:
        with contextlib.suppress(Exception):
            asyncio.run_coroutine_threadsafe(work, self.loop).result(5)

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.set_exception_handler(lambda loop, context: None)  # of what is open at the end
        try:
            self.loop.run_until_complete(self._lead() if self.index == 0 else self._follow())
        except BaseException as error:  # a defect here must not leave the others waiting
            if not sys.is_finalizing():
                sys.excepthook(type(error), error, error.__traceback__)
                os._exit(1)

    async def _lead(self) -> None:
        bind = os.environ.get("JAX_COORDINATOR_BIND_ADDRESS", f":{self.port}")
        host, _, port = bind.rpartition(":")
        try:
            await asyncio.start_server(
                self._front, host.strip("[]") or None, int(port), backlog=max(self.count, 100)
            )
        except (OSError, ValueError) as error:
            self.refused = OSError(
                f"process 0 cannot listen at port {port} of the coordinator's address: "
                f"{getattr(error, 'strerror', None) or error}"
            )
            self.together.set()
            return
        await asyncio.sleep(self.patience)
        if missing := sorted(set(range(1, self.count)) - set(self.members)):
            await self._end(GONE, self._never_came(missing))
        await asyncio.Event().wait()

    def _never_came(self, missing: list[int]) -> str:
        names = f"process{'es' if len(missing) > 1 else ''} {', '.join(map(str, missing))}"
        return (
            f"{names} of {self.count} did not come to {self.host}:{self.port} "
            f"within {self.patience} s ({TIMEOUT} sets the time)"
        )

    async def _front(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A connection to process 0: of a process, or of the jax of a process."""
        match (await reader.readline()).split():
            case [b"dljax-jax"]:
                await _join(reader, writer, "127.0.0.1", self.relay)
            case [b"dljax-process", index, count, *versions]:
                await self._greet(reader, writer, int(index), int(count), b" ".join(versions))
            case _:
                writer.close()

    async def _greet(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        index: int,
        count: int,
        versions: bytes,
    ) -> None:
        said = ""
        if count != self.count:
            said = f"there are {self.count} processes, not {count} (JAX_NUM_PROCESSES)"
        elif index in self.members:
            said = f"there is a process {index} already (JAX_PROCESS_ID)"
        elif versions != _versions():
            said = (
                f"process {index} has {versions.decode()}, process 0 has {_versions().decode()}: "
                "install the same versions for all"
            )
        if said:
            await _send(writer, {"end": 1, "line": said})
            if versions != _versions():
                await self._end(1, said)
            writer.close()
            return
        _keep_alive(writer)
        self.members[index] = writer
        if len(self.members) == self.count - 1:
            await self._tell({"together": True})
            self.together.set()
        await self._listen(reader, index)

    async def _follow(self) -> None:
        end = time.monotonic() + self.patience
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection(self.host, self.port)
                break
            if time.monotonic() > end:
                await self._end(GONE, self._never_came([0]))
            await asyncio.sleep(0.2)
        _keep_alive(writer)
        self.members[0] = writer
        writer.write(f"dljax-process {self.index} {self.count} ".encode() + _versions() + b"\n")

        async def relay(here: asyncio.StreamReader, there: asyncio.StreamWriter) -> None:
            await _join(here, there, self.host, self.port, b"dljax-jax\n")

        await asyncio.start_server(relay, sock=self.door)
        await self._listen(reader, 0)
        await asyncio.Event().wait()

    async def _listen(self, reader: asyncio.StreamReader, index: int) -> None:
        """What the process `index` says, to its end."""
        with contextlib.suppress(OSError):
            async for line in reader:
                said = json.loads(line)
                if "together" in said:
                    self.together.set()
                elif "left" in said:
                    self.left.add(index)
                elif "end" in said:
                    await self._end(said["end"], said["line"])
        if index not in self.left:
            await self._end(GONE, f"process {index} of {self.count} is gone: killed, or cut off")

    async def _tell(self, what: dict[str, Any]) -> None:
        for writer in [*self.members.values()]:
            with contextlib.suppress(OSError, asyncio.TimeoutError):
                await asyncio.wait_for(_send(writer, what), 2)

    async def _end(self, code: int, line: str, aloud: bool = True) -> None:
        """Ends this process, and of process 0 all others, with a line that says why."""
        if self.ending:
            await asyncio.Event().wait()  # the first one exits
        self.ending = True
        await self._tell({"end": code, "line": line})
        if aloud:
            advice = _advice() if code == GONE else ""
            text = f"error: {line}{'; ' if advice else ''}{advice}\n"
            os.write(2, f"{chr(10) if sys.stderr.isatty() else ''}{text}".encode())
        os._exit(code)


def _versions() -> bytes:
    """Of what has to be the same in all processes."""
    return f"jax {jax.__version__}, Python {platform.python_version()}".encode()


async def _send(writer: asyncio.StreamWriter, what: dict[str, Any]) -> None:
    writer.write(json.dumps(what).encode() + b"\n")
    await writer.drain()


async def _join(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    host: str,
    port: int,
    hello: bytes = b"",
) -> None:
    """Passes on what comes to and from host:port, until one side ends; the other stays open."""
    try:
        far_reader, far_writer = await asyncio.open_connection(host, port)
    except OSError:
        writer.close()  # jax tries again
        return
    far_writer.write(hello)

    async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(1 << 16):
                target.write(data)
                await target.drain()

    await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))


def _keep_alive(writer: asyncio.StreamWriter) -> None:
    """The kernel asks after the other side, and closes the connection when nothing answers."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        if hasattr(socket, name):  # not all systems have all
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
