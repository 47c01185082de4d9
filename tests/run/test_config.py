"""The command line: Config and flags are the same thing, and mistakes end in one clear line."""

import dataclasses
import importlib
import json
import pathlib
import shlex
import subprocess
import sys
from dataclasses import dataclass

import pytest
from absl import flags

from experiments import base

ROOT = pathlib.Path(__file__).parents[2]


@dataclass(frozen=True, kw_only=True)
class Config(base.Config):
    workdir: str = base.field("runs/probe", "folder of the run", path=True, resume=False)
    model: str = base.field("lenet", "network", choices=("lenet", "resnet"))
    widths: tuple[int, ...] = base.field((8, 16), "channels of the layers", minimum=1)
    names: tuple[str, ...] = base.field((), "what to look for")
    clip: float | None = base.field(None, "largest global norm", minimum=0)


def parse(*words: str) -> Config:
    return base.parse(Config, ["probe", *words])


def test_no_flags_give_the_defaults():
    assert parse() == Config()
    assert parse().workdir == "runs/probe"


def test_each_kind_of_value():
    config = parse("--steps=7", "--learning_rate", "3e-4", "--model=resnet", "--widths=1,2,3")
    assert (config.steps, config.learning_rate, config.model) == (7, 3e-4, "resnet")
    assert config.widths == (1, 2, 3)
    assert parse("--names=a,b").names == ("a", "b")
    assert parse("--clip=2").clip == 2.0
    assert parse("--data_dir=").data_dir is None


@pytest.mark.parametrize(
    "words, quiet, plots",
    [
        ([], False, True),
        (["--quiet", "--noplots"], True, False),
        (["--noquiet", "--plots"], False, True),
        (["--quiet=true", "--plots=false"], True, False),
        (["--quiet", "--noquiet"], False, True),
    ],
)
def test_forms_of_a_bool(words, quiet, plots):
    config = parse(*words)
    assert (config.quiet, config.plots) == (quiet, plots)


@pytest.mark.parametrize(
    "word, message",
    [
        ("--learning_rat=1", "unknown flag --learning_rat; did you mean --learning_rate?"),
        ("--batch-size=1", "unknown flag --batch-size; did you mean --batch_size?"),
        ("--noqiet", "unknown flag --noqiet; did you mean --quiet?"),
        ("--xyzzy", "unknown flag --xyzzy"),
        ("--batch_size=0", "batch_size must be at least 1, not 0"),
        ("--learning_rate=nan", "learning_rate must be finite, not nan"),
        ("--seed=2147483648", "seed must be at most 2147483647, not 2147483648"),
        ("--model=alexnet", "model must be one of lenet, resnet, not 'alexnet'"),
        ("--widths=1,x", "widths must be numbers with commas between, not ['1', 'x']"),
        ("--widths=4,0", "widths must be at least 1, not 0"),
        ("stray", "unexpected argument 'stray'; a flag is written --name=value"),
    ],
)
def test_what_is_wrong_is_said(word, message):
    with pytest.raises(base.UsageError) as caught:
        parse(word)
    assert str(caught.value) == message


@pytest.mark.parametrize("word", ["--steps=many", "--steps=1.5", "--quiet=perhaps", "--steps"])
def test_what_is_no_value_is_named(word):
    with pytest.raises(base.UsageError, match=word.split("=")[0].lstrip("-")) as caught:
        parse(word)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"steps": "7"}, "steps must be a whole number, not '7'"),
        ({"steps": True}, "steps must be a whole number, not True"),
        ({"learning_rate": "high"}, "learning_rate must be a number, not 'high'"),
        ({"quiet": 1}, "quiet must be True or False, not 1"),
        ({"model": None}, "model must be a string, not None"),
        ({"widths": 8}, "widths must be a tuple, not 8"),
        ({"names": "ab"}, "names must be a tuple, not 'ab'"),
    ],
)
def test_a_notebook_hears_the_same(fields, message):
    with pytest.raises(ValueError) as caught:
        Config(**fields)
    assert str(caught.value) == message


def test_values_are_brought_to_their_types(tmp_path):
    config = Config(learning_rate=1, widths=[4, 5], workdir=tmp_path, dataset="~/pictures")
    assert isinstance(config.learning_rate, float)
    assert config.widths == (4, 5)
    assert config.workdir == str(tmp_path)
    assert config.dataset == str(pathlib.Path.home() / "pictures")


def test_a_type_that_no_flag_can_have_is_a_defect():
    @dataclass(frozen=True, kw_only=True)
    class Wrong(base.Config):
        table: dict = base.field(None, "not a flag")

    with pytest.raises(TypeError, match=r"Wrong\.table"):
        base.define_flags(Wrong)


def test_the_global_flags_stay_untouched():
    before = set(flags.FLAGS)
    base.define_flags(Config)
    assert set(flags.FLAGS) == before


def test_json_and_back():
    config = Config(widths=(3,), clip=0.5, names=("a",))
    assert base.from_json(Config, json.loads(json.dumps(base.to_json(config)))) == config
    with pytest.raises(ValueError, match="depth"):
        base.from_json(Config, {"depth": 3})


def test_what_keeps_a_run_from_going_on():
    saved = json.loads(json.dumps(base.to_json(Config())))
    assert base.differences(saved, Config(workdir="elsewhere", quiet=True, eval_every=5)) == []
    assert base.differences(saved, Config(widths=(8, 17), steps=5)) == [
        "steps: 1000 in the run, 5 asked for",
        "widths: [8, 16] in the run, [8, 17] asked for",
    ]


def test_runs_of_older_and_newer_code():
    saved = base.to_json(Config())
    del saved["model"]
    assert base.differences(saved, Config()) == []
    assert base.differences(saved, Config(model="resnet")) == [
        "model: 'lenet' in the run, 'resnet' asked for"
    ]
    assert base.differences({**saved, "depth": 3}, Config()) == ["depth: no longer a flag"]


def test_the_command_reads_back_as_the_same_configuration():
    config = Config(
        workdir="my runs/x", plots=False, quiet=True, widths=(3, 4), clip=1e-3, overwrite=True
    )
    line = base.command(config, "-m experiments.probe")
    assert line == (
        "python -m experiments.probe '--workdir=my runs/x' --quiet --noplots --widths=3,4"
        " --clip=0.001"
    )
    assert parse(*shlex.split(line)[3:]) == base.from_json(
        Config, {**base.to_json(config), "overwrite": False}
    )


def test_help_lists_each_flag_with_default_and_limits():
    text = base.help_text(Config, "Trains a probe.\n\nMore.", "-m experiments.probe")
    assert text.startswith("Trains a probe.")
    own, common = text.split("Flags common to all experiments:")
    for line in (
        "--model=STR               network [default lenet; one of lenet, resnet]",
        "--widths=INT,...          channels of the layers [default 8,16; at least 1]",
        "--clip=FLOAT              largest global norm [default none; at least 0]",
    ):
        assert line in own
    for name in ("--workdir=STR", "--seed=INT", "--[no]quiet", "--learning_rate=FLOAT"):
        assert name in common and name not in own
    assert max(map(len, text.splitlines())) <= 100


def outcome(capsys, run, *words: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `main`."""
    with pytest.raises(SystemExit) as caught:
        base.main(run, Config, "Doc.", ["probe.py", *words])
    return caught.value.code, *capsys.readouterr()


def raising(error: BaseException):
    def run(config):
        raise error

    return run


def test_main_hands_the_config_over_and_the_code_back(capsys):
    seen = []
    assert outcome(capsys, seen.append, "--steps=3") == (0, "", "")
    assert seen == [Config(steps=3)]
    assert outcome(capsys, lambda config: 4)[0] == 4


def test_main_on_a_wrong_command_line(capsys):
    code, out, err = outcome(capsys, raising(AssertionError("must not run")), "--stpes=3")
    assert (code, out) == (2, "")
    assert err == "error: unknown flag --stpes; did you mean --steps? (--help lists the flags)\n"


@pytest.mark.parametrize(
    "error, text",
    [
        (ValueError("no such\n  model"), "no such model"),
        (FileNotFoundError("no folder 'x'; make one"), "no folder 'x'; make one"),
        (OSError(28, "No space left on device", "runs/x"), "No space left on device: runs/x"),
    ],
)
def test_main_on_bad_input(capsys, monkeypatch, error, text):
    monkeypatch.delenv("DLJAX_TRACEBACK", raising=False)
    code, out, err = outcome(capsys, raising(error))
    assert (code, out, err) == (1, "", f"error: {text} (DLJAX_TRACEBACK=1 shows where)\n")


def test_main_shows_the_traceback_on_request(capsys, monkeypatch):
    monkeypatch.setenv("DLJAX_TRACEBACK", "1")
    code, _, err = outcome(capsys, raising(ValueError("bad")))
    assert code == 1
    assert "Traceback (most recent call last)" in err and "in run" in err


def test_main_lets_a_defect_through():
    with pytest.raises(TypeError, match="a defect"):
        base.main(raising(TypeError("a defect")), Config, "Doc.", ["probe.py"])


def test_main_on_what_the_loop_raises(capsys):
    from dljax.train.loop import Interrupted, NotFinite

    saved = raising(Interrupted(15, 120, True))
    code, _, err = outcome(capsys, saved, "--steps=9", "--overwrite")
    assert code == 143
    assert err.startswith("SIGTERM: saved at step 120; go on with: python ")
    assert err.endswith(" --steps=9\n")
    code, _, err = outcome(capsys, raising(Interrupted(2, 120, False)))
    assert code == 130
    assert "not saved" in err and "go on" not in err
    code, _, err = outcome(capsys, raising(NotFinite("loss is nan at step 3, seed 0")))
    assert (code, err.count("\n")) == (1, 1)
    assert "error: loss is nan at step 3, seed 0" in err
    assert outcome(capsys, raising(KeyboardInterrupt()))[0] == 130


def test_a_script_answers_without_jax(tmp_path):
    script = tmp_path / "probe.py"
    script.write_text(
        '"""A probe."""\n'
        "import sys\n"
        "from experiments import base\n"
        "if __name__ == '__main__':\n"
        "    assert not {'jax', 'flax', 'numpy'} & set(sys.modules)\n"
        "    base.main(lambda config: None, base.Config, __doc__)\n"
    )
    environment = {"PYTHONPATH": str(ROOT)}
    for words, code in (["--help"], 0), (["--nothing"], 2), ([], 0):
        done = subprocess.run(
            [sys.executable, script, *words], env=environment, capture_output=True, text=True
        )
        assert done.returncode == code, done.stderr
    # python -m names the module in the usage line
    done = subprocess.run(
        [sys.executable, "-m", "probe", "-h"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith("A probe.\n\nusage: python -m probe [--flag=value ...]\n")


SCRIPTS = sorted(
    path.stem
    for path in (ROOT / "experiments").glob("*.py")
    if "\nif __name__ ==" in path.read_text(encoding="utf-8") and path.stem != "export"
)  # which trains nothing


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_experiment_keeps_the_conventions(name):
    module = importlib.import_module(f"experiments.{name}")
    assert issubclass(module.Config, base.Config)
    assert module.Config().workdir == f"runs/{name}"
    assert f"experiments.{name}" in module.__doc__
    assert all("help" in entry.metadata for entry in dataclasses.fields(module.Config))
