"""Three tiny runs for the tests of several processes; as a script, one process of them.

python -m tests.run.process_tasks --tasks=recurrent,classification --workdir=FOLDER/classification
"""

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import jax

from dljax.data import feed
from dljax.data.streaming import stream
from dljax.run import session
from dljax.run.command_line import run_main
from dljax.run.config import Config as Common
from dljax.run.config import field, override
from dljax.run.experiment import Experiment, Outcome
from tests import helpers

BATCH = 12  # of 2 and 3 processes


@dataclass(frozen=True, kw_only=True)
class Config(Common):
    name: ClassVar[str] = "processes"

    steps = override(8)
    eval_every = override(2)
    checkpoint_every = override(2)
    steps_per_call = override(1)
    batch_size = override(BATCH)
    learning_rate = override(0.1)
    parallel = override("data")
    plots = override(False)
    quiet = override(True)
    tasks: tuple[str, ...] = field(
        ("classification",), "folders beside the workdir, each begun by a task's"
    )
    stop_at: int = field(0, "process 0 waits at this step of the last task", resume=False)


class Source:
    """Images that remember which of them were read."""

    def __init__(self, arrays):
        self.arrays, self.read = arrays, []

    def __len__(self):
        return len(self.arrays["label"])

    def __getitem__(self, index):
        self.read.append(int(index))
        return {name: x[index] for name, x in self.arrays.items()}


def train(config: Config, name: str, placement=None, stop_at: int = 0) -> Outcome:
    """One of the runs, in its own folder beside the workdir."""
    from tests.rl import tasks as agents  # makes arrays, which is too early above

    folder = Path(config.workdir).parent / name
    train_images, test_images = Source(helpers.stripes(48)), Source(helpers.stripes(21, seed=1))

    def wait(step, sums, snapshots):  # until the test has done what it is about to do
        if step == stop_at:
            (folder / "waiting").touch()
            while not (folder / "go").exists():
                time.sleep(0.01)

    made = {
        "classification": lambda: (
            helpers.small_classifier(),
            feed.streamed(stream(train_images, BATCH)),
            feed.streamed_examples(stream(test_images, BATCH)),
        ),
        "recurrent": lambda: (
            helpers.sequence_classifier(),
            feed.in_memory(helpers.ramps(48), BATCH),
            feed.examples(helpers.ramps(21, seed=1), BATCH),
        ),
        "ppo": lambda: (agents.recurrent_ppo(), feed.empty(), None),
    }
    task, batches, examples = made[name.partition("-")[0]]()
    config = replace(config, workdir=str(folder), tasks=(name,), stop_at=0)
    outcome = session.train(
        config,
        Experiment(
            name="processes",
            dataset="none",
            task=lambda config: task,
            feed=batches,
            placement=placement or session.placement(config),
            validation=examples,
            eval_callback=wait if stop_at else None,
        ),
    )
    read = json.dumps([train_images.read, test_images.read])
    (folder / f"read-{jax.process_index()}.json").write_text(read)
    return outcome


def main(config: Config) -> None:
    for name in config.tasks:
        train(config, name, stop_at=config.stop_at if name == config.tasks[-1] else 0)


if __name__ == "__main__":
    run_main(main, Config, __doc__)
