"""What `python -m experiments.devices` says of processes, and what it refuses."""

import jax
import pytest

from dljax.apps import devices
from dljax.apps.configs.devices import Config


def test_one_process(tmp_path, capsys):
    devices.run(Config(workdir=str(tmp_path)))
    first, second, versions, workdir = capsys.readouterr().out.splitlines()
    assert first == "1 process, devices: 8; a batch size is a multiple of 8"
    assert second.startswith("process 0  ") and "8 x cpu" in second
    assert f"jax {jax.__version__}" in versions and workdir.endswith(str(tmp_path))


def test_lines_and_versions_of_several():
    one = {"host": "a", "pid": 1, "devices": ["H100"], "memory": 2**36, "time": 5.0}
    two = {**one, "host": "b", "time": 7.5}
    assert devices.lines([one, two]) == [
        "process 0  a pid 1  1 x H100  64.0 GiB  clock +0.000 s",
        "process 1  b pid 1  1 x H100  64.0 GiB  clock +2.500 s",
    ]
    one, two = {"versions": {"jax": "0.10.2"}}, {"versions": {"jax": "0.11.2"}}
    devices.check_versions([one, one])
    with pytest.raises(ValueError, match="process 1 has jax 0.11.2, process 0 has 0.10.2: install"):
        devices.check_versions([one, one | two])
