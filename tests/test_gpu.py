"""benchmarks.gpu on a CPU: parts of it in tiny sizes, and what it does when a case goes wrong."""

import json
import types

import numpy as np
import pytest

from benchmarks import gpu, gpu_sections
from benchmarks.gpu_cases import Asked, Case, Found, LeftOut


def summary(folder):
    return json.loads((folder / "summary.json").read_text())


def test_sections_in_tiny_sizes(tmp_path, capsys):
    """The others are left to `python -m benchmarks.gpu --tiny`, which takes minutes."""
    words = ["--tiny", "--repeats=2", f"--out={tmp_path}"]
    assert gpu.main([*words, "--sections=bfloat16", "--only=U-Net"]) == 0
    network = "tiny U-Net, 2x16x16, bfloat16: dljax"
    assert summary(tmp_path)["metrics"][f"{network}, images/s"]["mean"] > 0
    assert summary(tmp_path)["metrics"][f"{network}, s to the first step"]["mean"] > 0
    capsys.readouterr()
    assert gpu.main([*words, "--sections=text,driving,card"]) == 0
    found, printed = summary(tmp_path), capsys.readouterr().out
    rates = [x for name, x in found["metrics"].items() if name.endswith("/s")]
    assert len(rates) == 4 and all(len(x["per_seed"]) in (1, 2) and x["mean"] > 0 for x in rates)
    assert "after 2 steps" in found["notes"]["tiny tiny-shakespeare to the goal: dljax"]
    assert not any("." in name for name in found["metrics"])  # the ledger's paths have dots
    assert list(found["seconds_of_sections"]) == ["card", "text", "driving"]
    assert not found["failures"] + found["no_time"] + found["left_out"]
    assert printed.count("\n| tiny ") == 3 and "0 failed" in printed


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs main with sections of given cases: (name, what it gives or raises) each."""

    def of(results, *words):
        def cases(section):
            for name, result in results[section]:

                def measure(deadline, result=result):
                    if isinstance(result, BaseException):
                        raise result
                    return result(deadline) if callable(result) else result

                yield Case(*name.split("/"), measure)

        def sections(asked):
            return {name: lambda name=name: cases(name) for name in results}

        monkeypatch.setattr(gpu_sections, "sections", sections)
        monkeypatch.setattr(gpu, "SHARES", dict.fromkeys(results, 1))
        return gpu.main(["--tiny", f"--out={tmp_path}", *words])

    return of


RATE = Found(
    np.array([90.0, 100.0, 110.0]), "images/s", 2.5, np.array([18e3, 20e3, 22e3]), "float32"
)


def test_a_failure_is_one_line_and_the_rest_goes_on(run, tmp_path, capsys):
    wrong = RATE._replace(problem="other losses")
    cases = [
        ("net/dljax", RATE),
        ("net/torch", RuntimeError("no memory\nmore")),
        ("b/torch", wrong),
    ]
    assert run({"one": cases, "two": [("c/dljax", LeftOut("no file")), ("d/dljax", RATE)]}) == 1
    printed = capsys.readouterr().out
    assert (
        "one: net, torch: failed: RuntimeError: no memory\none: b, torch: 100 images/s" in printed
    )
    assert "one: b, torch: failed: other losses\ntwo: c: left out: no file\ntwo: d" in printed
    found = summary(tmp_path)
    assert [x["what"] for x in found["failures"]] == ["one: net, torch", "one: b, torch"]
    assert "more" in found["failures"][0]["traceback"] and found["left_out"] == ["two: c: no file"]
    assert {"net: dljax, images/s", "b: torch, images/s", "d: dljax, images/s"} <= set(
        found["metrics"]
    )


def test_what_was_found_is_kept_when_the_run_is_killed(run, tmp_path):
    with pytest.raises(SystemExit):
        run({"one": [("net/dljax", RATE), ("net/torch", SystemExit(9))]})
    assert summary(tmp_path)["metrics"]["net: dljax, images/s"]["mean"] == 100


def test_what_there_was_no_time_for_is_said(run, tmp_path, capsys, monkeypatch):
    """A section that takes longer than its share loses its rest; the next one has its own."""
    clock = types.SimpleNamespace(now=0.0)
    monkeypatch.setattr(gpu, "time", types.SimpleNamespace(perf_counter=lambda: clock.now))

    def slow(deadline):
        assert deadline == 60
        clock.now += 70
        return RATE

    def quick(deadline):
        assert deadline == 120
        return RATE

    late = [("a/dljax", slow), ("b/dljax", RATE), ("c/torch", RATE)]
    assert run({"one": late, "two": [("d/dljax", quick)]}, "--minutes=2") == 0
    assert "one: no time for b, dljax; c, torch\ntwo: d, dljax: 100" in capsys.readouterr().out
    found = summary(tmp_path)
    assert found["no_time"] == ["one: b, dljax", "one: c, torch"]
    assert found["seconds_of_sections"] == {"one": 70, "two": 0}


def test_the_table_compares_with_torch_and_with_the_peak(tmp_path):
    results = gpu.Results(tmp_path, {}, {"float32": 40.0})
    slow = RATE._replace(values=RATE.values / 2, gigaflops=None)
    goal = Found(np.array([np.nan]), "s", note="93 %")
    for name, who, found in (("a", "dljax", RATE), ("g", "dljax", goal), ("a", "torch", slow)):
        results.found("s", Case(name, who, None), found)
    head, _, ours, torch, missed = results.table().strip().splitlines()
    assert head.count("|") == ours.count("|")
    assert ours.split(" | ")[2:7] == ["100 images/s", "90 to 110", "2.00", "50.0%", "2.5"]
    assert "torch | 50 images/s" in torch and "93 %" in missed
    metrics = results.metrics()
    np.testing.assert_allclose(metrics["a: dljax, times torch"], [1.8, 2.0, 2.2])
    np.testing.assert_allclose(metrics["a: dljax, utilisation"], [0.45, 0.5, 0.55])
    assert not any(name.startswith("g: dljax, s") for name in metrics)


def test_a_card_is_known_by_its_name():
    assert gpu.peaks("NVIDIA H200") == gpu.peaks("NVIDIA H100 80GB HBM3") == gpu.PEAKS["H200"]
    assert gpu.peaks("NVIDIA H100 PCIe")["bfloat16"] == 756
    assert gpu.peaks("NVIDIA A100-SXM4-40GB")["float32"] == 156
    assert "bfloat16" not in gpu.peaks("Tesla T4") and gpu.peaks("Tesla V100-SXM2-16GB")
    assert not gpu.peaks("NVIDIA L40S") and not gpu.peaks("NVIDIA A10G")


def test_a_smaller_card_gets_smaller_batches():
    sizes = {80: 256, 40: 128, 12: 64, 6: 32}
    for gigabytes, batch in sizes.items():
        assert Asked(False, 5, memory=gigabytes << 30).fitting(256) == batch
    assert Asked(False, 5).fitting(256) == 256 and Asked(False, 5, memory=1).fitting(32) == 1


@pytest.mark.parametrize(
    "words, said",
    [
        (["--tiny", "--sections=card,x"], "there is no section 'x': there are card, "),
        (["--tiny", "--cifar=no.npz"], "--cifar: there is no no.npz"),
        (["--tiny", "--out=README.md/x"], "--out: [Errno 20] Not a directory: 'README.md/x"),
        (["--tiny", "--minutes=0"], "--minutes must be more than 0"),
        ([], "jax finds no GPU here: --tiny runs"),
    ],
)
def test_wrong_flags(words, said, capsys, monkeypatch):
    monkeypatch.chdir(gpu_sections.__file__.rpartition("/benchmarks/")[0])
    with pytest.raises(SystemExit) as end:
        gpu.main(words)
    assert end.value.code == 2 and said in capsys.readouterr().err
