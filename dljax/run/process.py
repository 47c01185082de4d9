"""What the process of a command sets up: the only place that changes global settings."""

from absl import logging

from dljax.data.sources.cache import user_cache
from dljax.run import processes
from dljax.train.compilation import enable_compilation_cache


def prepare() -> None:
    """Quiets absl, keeps compiled programs in the user's cache, joins the processes of a cluster.

    For the `main` of a script, or the first cell of a notebook; importing dljax changes nothing.
    """
    logging.set_verbosity(logging.ERROR)  # orbax warns of what is meant to be
    enable_compilation_cache(user_cache("programs"))  # a second start compiles little
    processes.initialize()
