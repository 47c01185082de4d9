"""Decodes a prepared TFDS set to arrays, in a process per core; the only reader that is slow.

`python -m dljax.data.sources.decode JOB` is a worker: JOB is JSON, and a line per block of
examples goes to its standard output. Workers are commands, not forks (JAX has threads) nor spawned
copies of the caller (whose script may have no main guard).
"""

import importlib.util
import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np

from dljax.data.sources.prepared import Prepared

BLOCK = 256


def decode_splits(
    prepared: Prepared, splits: list[str], shape: tuple[int, int, int], folder: Path, quiet: bool
) -> list[str]:
    """Writes SPLIT_image.npy (uint8 [N, *shape]) and SPLIT_label.npy (int32 [N]) to the folder.

    Args:
      prepared: the set.
      splits: names of the splits to decode.
      shape: height, width and channels of every image.
      folder: an empty folder.
      quiet: shows no progress bar.

    Returns:
      The names of the arrays.

    Raises:
      ValueError: an example can't be read or decoded.
    """
    workers = os.cpu_count() or 1
    jobs, names, total = [[] for _ in range(workers)], [], 0
    for split in splits:
        length = prepared.splits[split]
        total += length
        for name, form, dtype in (
            (f"{split}_image", (length, *shape), np.uint8),
            (f"{split}_label", (length,), np.int32),
        ):
            np.lib.format.open_memmap(folder / f"{name}.npy", "w+", dtype, form).flush()
            names.append(name)
        bounds = np.linspace(0, length, workers + 1).astype(int).tolist()
        for job, start, stop in zip(jobs, bounds[:-1], bounds[1:], strict=True):
            job.append([split, start, stop])
    common = {
        "prepared": {**prepared._asdict(), "folder": str(prepared.folder)},
        "target": str(folder),
        "shape": shape,
    }
    _run([{**common, "parts": job} for job in jobs], total, prepared.name, quiet)
    return names


def _run(jobs: list[dict], total: int, name: str, quiet: bool) -> None:
    """Runs a worker per job with one progress bar; raises the first failure's last line."""
    from tqdm import tqdm

    package_root = str(Path(__file__).resolve().parents[3])
    path = os.pathsep.join(filter(None, [package_root, os.environ.get("PYTHONPATH")]))
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "dljax.data.sources.decode", json.dumps(job)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        for job in jobs
    ]
    errors = [""] * len(jobs)
    with tqdm(total=total, desc=f"decoding {name}", unit=" images", disable=quiet) as bar:

        def advance(process: subprocess.Popen) -> None:
            for line in process.stdout:
                bar.update(int(line))

        def collect(index: int) -> None:
            errors[index] = processes[index].stderr.read()

        threads = [threading.Thread(target=advance, args=(process,)) for process in processes]
        threads += [threading.Thread(target=collect, args=(index,)) for index in range(len(jobs))]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            for process in processes:
                process.kill()
                process.wait()
    for process, error in zip(processes, errors, strict=True):
        if process.returncode:
            reason = (error.strip().splitlines() or [f"exit code {process.returncode}"])[-1]
            raise ValueError(f"{name} could not be decoded: {reason}")


def work(job: dict) -> None:
    """Decodes the job's parts into the arrays that lie in its target folder."""
    from dljax.data.sources.tfds import TfdsSource

    prepared = Prepared(**{**job["prepared"], "folder": Path(job["prepared"]["folder"])})
    for split, start, stop in job["parts"]:
        if start == stop:
            continue
        source = TfdsSource(prepared, split, job["shape"])
        images, labels = (
            np.lib.format.open_memmap(Path(job["target"]) / f"{split}_{field}.npy", "r+")
            for field in ("image", "label")
        )
        for first in range(start, stop, BLOCK):
            indices = range(first, min(first + BLOCK, stop))
            for index, example in zip(indices, source.__getitems__(indices), strict=True):
                images[index], labels[index] = example["image"], example["label"]
            print(len(indices), flush=True)
        images.flush()
        labels.flush()


def download(name: str, root: Path, otherwise: str) -> None:
    """Downloads and prepares a TFDS set as array_record.

    Raises:
      FileNotFoundError: it can't be done: `otherwise` and the reason. Without TensorFlow or a
        network this is said at once, since tfds would try for minutes.
    """
    try:
        for module in ("tensorflow", "importlib_resources"):
            if importlib.util.find_spec(module) is None:
                raise ImportError(f"{module} is not installed")
        socket.getaddrinfo("storage.googleapis.com", 443)
        import tensorflow_datasets

        builder = tensorflow_datasets.builder(name, data_dir=str(root), file_format="array_record")
        builder.download_and_prepare()
    except Exception as error:  # no network, unknown name, full disk: one line for all of them
        reason = (str(error).strip().splitlines() or [""])[0]
        raise FileNotFoundError(f"{otherwise} ({type(error).__name__}: {reason[:200]}).") from error


if __name__ == "__main__":
    work(json.loads(sys.argv[1]))
