"""Has tfds download and prepare a set, where there are TensorFlow and a network."""

import importlib.util
import socket
from pathlib import Path


def download(name: str, root: Path, otherwise: str) -> None:
    """Downloads and prepares a TFDS set as array_record.

    Raises:
      FileNotFoundError: it can't be done: `otherwise` and the reason. Without TensorFlow or a
        network this is reported at once, since tfds would try for minutes.
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
