"""The house rules of the layout, read off the syntax trees: who may import, jit and print what."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parent.parent
LIBRARY = ROOT / "dljax"
FOUNDATION = ("nn", "train", "data")
TOPICS = ("cnn", "rnn", "transfer", "gan", "rl")
FILES = {str(path.relative_to(ROOT)): path for path in sorted(LIBRARY.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in FILES.items()}
STANDARD = {"__future__", "collections", "dataclasses", "functools", "itertools", "math", "typing"}

# Who alone may import a library, as prefixes of paths.
OWNERS = {
    "orbax": ("dljax/train/checkpoint.py",),
    "grain": ("dljax/data/",),
    "tensorflow_datasets": ("dljax/data/",),
    "gymnax": ("dljax/rl/environments.py",),
    "tensorboardX": ("dljax/train/report.py",),
    "tqdm": ("dljax/train/report.py", "dljax/data/"),
    "absl": (),
    "experiments": (),
    "benchmarks": (),
    "tensorflow": (),
    "torch": (),
}


def imported(tree: ast.AST, name: str) -> set[str]:
    """Absolute names of all that a file imports, inside functions too: {"dljax.nn.conv", ...}."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = pathlib.PurePath(name).parts[: -node.level] if node.level else ()
            module = ".".join([*package, *([node.module] if node.module else [])])
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return found


def calls(tree: ast.AST, *names: str) -> list[int]:
    """Lines where one of these dotted names is used, be it called, passed on or a decorator."""
    return sorted(
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute | ast.Name) and ast.unparse(node) in names
    )


def inside(package: str) -> list[str]:
    return [name for name in FILES if name.startswith(f"dljax/{package}/")]


def test_the_scan_sees_what_it_should():
    tree = ast.parse(
        "import a.b\ndef f():\n    from ..train import loop\n    jax.jit(g)\n@jax.jit\ndef h(): 0"
    )
    assert imported(tree, "dljax/nn/x.py") == {"a.b", "dljax.train.loop"}
    assert calls(tree, "jax.jit") == [4, 5]
    assert len(FILES) > 10 and inside("nn") and inside("train") and inside("data")


@pytest.mark.parametrize("library", OWNERS)
def test_a_library_is_imported_where_it_is_owned(library):
    wrong = [
        name
        for name, tree in TREES.items()
        if not name.startswith(OWNERS[library] or ("nowhere",))
        and any(found.split(".")[0] == library for found in imported(tree, name))
    ]
    assert not wrong, f"{library} may be imported in {OWNERS[library] or 'no file of dljax'} alone"


def test_nn_imports_jax_and_flax_alone():
    for name in inside("nn"):
        for found in imported(TREES[name], name):
            allowed = found.startswith("dljax.nn") or found.split(".")[0] in {"jax", "flax"}
            assert allowed or found.split(".")[0] in STANDARD, f"{name} imports {found}"


def test_the_foundation_knows_no_topic():
    topics = tuple(f"dljax.{topic}" for topic in TOPICS)
    for package in FOUNDATION:
        for name in inside(package):
            wrong = [found for found in imported(TREES[name], name) if found.startswith(topics)]
            assert not wrong, f"{name} imports {wrong}"


def test_topics_do_not_import_each_other():
    for topic in TOPICS:
        others = tuple(f"dljax.{other}" for other in TOPICS if other != topic)
        for name in inside(topic):
            wrong = [found for found in imported(TREES[name], name) if found.startswith(others)]
            assert not wrong, f"{name} imports {wrong}: what two topics share moves down"


def test_each_package_is_known_here():
    packages = {path.name for path in LIBRARY.iterdir() if (path / "__init__.py").exists()}
    assert packages <= {*FOUNDATION, *TOPICS, "plots"}, "name a new topic in TOPICS"


def test_only_the_loop_runs_training_steps():
    """A Task's step is named in train/loop.py alone; experiments are looked at too.

    jax.jit itself may stand elsewhere, for what is no step: the copy and digest of a checkpoint, an
    operator of nn, a prediction. In train/ the files that may are listed.
    """
    scripts = {
        str(path.relative_to(ROOT)): ast.parse(path.read_text(encoding="utf-8"))
        for path in (ROOT / "experiments").glob("*.py")
    }
    for name, tree in {**TREES, **scripts}.items():
        if name in ("dljax/train/loop.py", "dljax/train/parallel.py"):
            continue
        assert not calls(tree, "jax.pmap", "pmap"), f"{name} uses jax.pmap"
        assert not calls(tree, "task.step", "self.task.step"), f"{name} runs a task's step"
        may = tuple(f"dljax/train/{name}.py" for name in ("checkpoint", "compilation", "export"))
        if name.startswith("dljax/train/") and name not in may:
            assert not calls(tree, "jax.jit", "jit"), f"{name} uses jax.jit"


def test_the_library_does_not_print():
    # The report is what prints; the decoder's worker processes speak to their parent.
    printers = ("dljax/train/report.py", "dljax/data/sources/decode.py")
    for name, tree in TREES.items():
        if name not in printers:
            assert not calls(tree, "print"), f"{name} prints"


@pytest.mark.parametrize("folder", ["dljax", "experiments", "benchmarks", "tests"])
def test_no_file_grows_beyond_reading(folder):
    for path in (ROOT / folder).rglob("*.py"):
        lines = path.read_text(encoding="utf-8").count("\n")
        assert lines <= 400, f"{path.relative_to(ROOT)} has {lines} lines: split it"
