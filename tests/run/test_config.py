"""The command line: Config and flags are the same thing, and mistakes end in one clear line."""

import dataclasses
import importlib
import inspect
import json
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import threading
import typing
from dataclasses import dataclass
from typing import ClassVar

import jax
import pytest
from absl import flags

from dljax.apps.configs.image_segmentation import Config as SegmentationConfig
from dljax.run import command_line
from dljax.run import config as base
from dljax.run.config import DataConfig, field, override
from dljax.run.experiment import Outcome
from experiments import __main__ as scripts
from experiments.__main__ import listing

ROOT = pathlib.Path(__file__).parents[2]


@dataclass(frozen=True, kw_only=True)
class Config(DataConfig):
    name: ClassVar[str] = "probe"
    not_served: ClassVar[tuple[str, ...]] = ("on_nan",)

    model: str = field(
        "lenet", "network", choices=("lenet", "resnet"), formerly="net",
        former_values={"residual": "resnet"},
    )  # fmt: skip
    widths: tuple[int, ...] = field((8, 16), "channels of the layers", minimum=1)
    names: tuple[str, ...] = field((), "what to look for")
    clip: float | None = field(None, "largest global norm", minimum=0)


@dataclass(frozen=True, kw_only=True)
class Tuned(Config):
    name: ClassVar[str] = "tuned"

    steps = override(20)
    model = override("resnet", help="the network of tuned")


def parse(*words: str) -> Config:
    return command_line.parse(Config, ["probe", *words])


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
    with pytest.raises(command_line.UsageError) as caught:
        parse(word)
    assert str(caught.value) == message


def test_uses_that_are_empty_or_two_are_refused():
    def read(words: list[str]):
        return command_line.parse(SegmentationConfig, ["program", *words])

    for words, message in (
        (["--predict="], "--predict is empty: give it a value, or leave it out to train"),
        (["--evaluate=a", "--predict=b"], "--predict and --evaluate do not go together: give one"),
    ):
        with pytest.raises(command_line.UsageError, match=f"^{message}"):
            read(words)
    assert read(["--predict=b"]).predict == "b"


@pytest.mark.parametrize("word", ["--steps=many", "--steps=1.5", "--quiet=perhaps", "--steps"])
def test_what_is_no_value_is_named(word):
    with pytest.raises(command_line.UsageError, match=word.split("=")[0].lstrip("-")) as caught:
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
        command_line.define_flags(Wrong)


def test_the_global_flags_stay_untouched():
    before = set(flags.FLAGS)
    command_line.define_flags(Config)
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
        "steps: 1000 in the run, 5 now",
        "widths: [8, 16] in the run, [8, 17] now",
    ]


def test_runs_of_older_and_newer_code():
    saved = base.to_json(Config())
    del saved["model"]
    assert base.differences(saved, Config()) == []
    assert base.differences(saved, Config(model="resnet")) == [
        "model: 'lenet' in the run, 'resnet' now"
    ]
    assert base.differences({**saved, "depth": 3}, Config()) == ["depth: no longer a flag"]


def test_the_command_reads_back_as_the_same_configuration():
    config = Config(
        workdir="my runs/x", plots=False, quiet=True, widths=(3, 4), clip=1e-3, overwrite=True
    )
    line = command_line.command(config, "-m experiments.probe")
    assert line == (
        "python -m experiments.probe '--workdir=my runs/x' --quiet --noplots --widths=3,4"
        " --clip=0.001"
    )
    assert parse(*shlex.split(line)[3:]) == base.from_json(
        Config, {**base.to_json(config), "overwrite": False}
    )


def test_help_lists_each_flag_with_default_and_limits(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    text = command_line.help_text(Config, "Trains a probe.\n\nMore.", "-m experiments.probe")
    assert text.startswith("Trains a probe.")
    own = text.partition("This experiment:")[2].partition("Training, evaluation")[0]
    for line in (
        "--model=STR               network [default lenet; one of lenet, resnet]",
        "--widths=INT,...          channels of the layers [default 8,16; at least 1]",
        "--clip=FLOAT              largest global norm [default none; at least 0]",
    ):
        assert line in own
    flags_in_order = re.findall(r"^  --(?:\[no\])?(\w+)", text, re.MULTILINE)
    assert flags_in_order[:3] == ["workdir", "dataset", "steps"]
    assert flags_in_order[-2:] == ["batch_size", "learning_rate"]  # the optimiser's come last
    assert "on_nan" not in flags_in_order and "[default runs/probe]" in text
    assert max(map(len, text.splitlines())) <= 100


def test_an_override_changes_the_default_and_nothing_else(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    assert (Tuned().steps, Config().steps, Tuned().model) == (20, 1000, "resnet")
    assert Tuned(model="lenet").workdir == "runs/tuned"
    with pytest.raises(ValueError, match="steps must be at least 1"):
        Tuned(steps=0)
    text = command_line.help_text(Tuned, "", "")
    assert "training steps [default 20; at least 1]" in text
    assert "the network of tuned [default resnet; one of lenet, resnet]" in text


def test_a_flag_that_is_not_served_is_none():
    with pytest.raises(command_line.UsageError, match="unknown flag --on_nan"):
        parse("--on_nan=drop")
    with pytest.raises(ValueError, match="probe has no on_nan"):
        Config(on_nan="drop")


def test_ctrl_c_waits_until_jaxlib_is_imported(ctrl_c):
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with pytest.raises(KeyboardInterrupt), command_line._without_ctrl_c():
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        waited = sum(range(10_000))
    assert waited and signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


def test_the_default_workdir_names_the_data(tmp_path):
    for dataset, name in (
        ("", "probe"), ("digits", "probe-digits"), ("tfds:mnist", "probe-mnist"),
        ("tfds:glue/cola", "probe-glue_cola"), ("~/data/photos", "probe-photos"),
        (str(tmp_path / "x.csv"), "probe-x"), ("my data/a b.csv", "probe-a_b"),
    ):  # fmt: skip
        assert parse(f"--dataset={dataset}").workdir == f"runs/{name}"
    assert parse("--dataset=digits", "--workdir=elsewhere").workdir == "elsewhere"
    line = command_line.command(Config(dataset="digits"), "-m experiments.probe")
    assert line == "python -m experiments.probe --dataset=digits"


def test_former_names_are_refused_in_commands_and_read_in_runs():
    with pytest.raises(command_line.UsageError, match="--net is now --model"):
        parse("--net=lenet")
    with pytest.raises(command_line.UsageError, match="model: 'residual' is now 'resnet'"):
        parse("--model=residual")
    saved = base.to_json(Config(workdir="runs/probe"))
    del saved["model"]
    old = {**saved, "net": "residual", "predict": ""}  # predict was everybody's flag, left empty
    assert base.from_json(Config, old) == Config(model="resnet")
    assert base.differences(old, Config(model="resnet")) == []
    assert base.differences(old, Config()) == ["model: 'resnet' in the run, 'lenet' now"]


def test_two_spellings_of_a_path_are_one(tmp_path, monkeypatch):
    @dataclass(frozen=True, kw_only=True)
    class Pathed(base.Config):
        weights: str = field("", "file of weights", path=True)

    (tmp_path / "a").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    monkeypatch.chdir(tmp_path)
    saved = base.to_json(Pathed(weights="a"))
    for spelling in ("./a", str(tmp_path / "a"), "link"):
        assert base.differences(saved, Pathed(weights=spelling)) == []
    assert len(base.differences(saved, Pathed(weights="b"))) == 1


def test_values_of_a_sweep_are_traced_past_the_checks():
    config = Config(sweep=("learning_rate=1,2",))

    @jax.jit
    def program(rate):
        inside = base.with_traced(config, {"learning_rate": rate})
        assert inside.sweep == () and inside.steps == config.steps
        return 2 * inside.learning_rate

    assert program(3.0) == 6 and config.learning_rate == 1e-3


@pytest.mark.parametrize("word", ["accuracy", "best:accuracy", "max:", "max"])
def test_choose_by_names_way_and_metric(word):
    with pytest.raises(command_line.UsageError, match="choose_by is written max:METRIC or min:"):
        parse(f"--choose_by={word}")
    assert parse("--choose_by=min:loss").choose_by == "min:loss"


def outcome(capsys, run, *words: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `main`."""
    with pytest.raises(SystemExit) as caught:
        command_line.run_main(run, Config, "Doc.", ["probe.py", *words])
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
        command_line.run_main(raising(TypeError("a defect")), Config, "Doc.", ["probe.py"])


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
        "from dljax.run import command_line, config\n"
        "if __name__ == '__main__':\n"
        "    assert not {'jax', 'flax', 'numpy'} & set(sys.modules)\n"
        "    command_line.run_main(lambda _: None, config.Config, __doc__)\n"
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


SCRIPTS = [name for name, _, _ in listing()]
TRAIN_NOTHING = ("compare", "devices", "export")


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_experiment_keeps_the_conventions(name):
    module = importlib.import_module(f"experiments.{name}")
    assert f"experiments.{name}" in module.__doc__
    assert max(map(len, module.__doc__.splitlines())) <= 100
    assert all("help" in entry.metadata for entry in dataclasses.fields(module.Config))
    if name not in TRAIN_NOTHING:
        assert issubclass(module.Config, base.Config) and module.Config.name == name
        assert module.Config().workdir.startswith(f"runs/{name}")


@pytest.mark.parametrize("name", [name for name in SCRIPTS if name not in TRAIN_NOTHING])
def test_every_app_is_called_alike(name):
    """app.train(app.Config(...)).summary, whatever it trains."""
    app = importlib.import_module(f"dljax.apps.{name}")
    assert app.Config is importlib.import_module(f"experiments.{name}").Config
    first, *others = inspect.signature(app.train).parameters.values()
    assert first.name == "config" and all(x.default is not x.empty for x in others)
    assert typing.get_type_hints(app.train)["return"] is Outcome


def test_the_scripts_are_listed_with_the_time_of_their_default(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["experiments"])
    scripts.main()
    text = capsys.readouterr().out
    assert all(re.search(rf"^  {name} +\S", text, re.MULTILINE) for name in SCRIPTS)
    assert "Image classification with a convolutional network. (a minute)" in text
    assert {"image_classification", "forecasting", "ppo"} <= set(SCRIPTS)
