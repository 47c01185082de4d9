"""The rules of the layout, read off the syntax trees: who may import, jit, print and set what."""

import ast
import functools
import json
import os
import pathlib
import subprocess
import sys
import tomllib
from collections.abc import Iterator

import pytest

import dljax

ROOT = pathlib.Path(__file__).parent.parent
FOUNDATION = {"envs", "data", "nn", "train", "plots"}
TOPICS = {"cnn", "rnn", "transfer", "gan", "rl"}
# What a package may import of dljax besides itself.
BELOW = {
    "nn": set(),
    **{name: FOUNDATION for name in FOUNDATION - {"nn"}},
    **{name: FOUNDATION for name in TOPICS},
    "run": FOUNDATION,
    "apps": FOUNDATION | TOPICS | {"run"},
    "experiments": {"apps", "run"},
}
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for folder in ("dljax", "experiments")
    for path in sorted((ROOT / folder).rglob("*.py"))
}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in FILES.items()}
LIBRARY = [name for name in TREES if name.startswith("dljax")]
CONFIGS = [name for name in LIBRARY if name.startswith("dljax.apps.configs.")]
SCRIPTS = [name for name in TREES if name.startswith("experiments.") and "__" not in name]
STANDARD = {"__future__", "collections", "dataclasses", "functools", "itertools", "math", "typing"}

# Who alone may import a library, as prefixes of modules.
OWNERS = {
    "orbax": ("dljax.train.checkpoint",),
    "grain": ("dljax.data.",),
    "tensorflow_datasets": ("dljax.data.",),
    "gymnax": ("dljax.envs.",),
    "tensorboardX": ("dljax.train.trackers",),
    "wandb": ("dljax.train.trackers",),
    "tqdm": ("dljax.train.report", "dljax.data."),
    "absl": ("dljax.run.",),
    "experiments": (),
    "benchmarks": (),
    "tests": (),
    "tensorflow": (),
    "torch": (),
}

# Calls that change what the whole process shares, and the modules that may make them in a function.
SETTERS = {
    "jax.config.update": ("dljax.train.compilation",),
    "jax.ffi.register_ffi_target": ("dljax.train.native",),
    "jax.distributed.initialize": ("dljax.run.processes",),
    "logging.set_verbosity": ("dljax.run.process",),
    "logging.basicConfig": (),
    "logging.disable": (),
    "matplotlib.use": (),
    "plt.switch_backend": (),
    "plt.style.use": (),
    "warnings.filterwarnings": (),
    "warnings.simplefilter": ("dljax.data.sources.image",),  # within catch_warnings
    "np.seterr": (),
    "np.random.seed": (),
    "random.seed": (),
    "os.putenv": (),
    "os.environ.update": (),
    "os.environ.setdefault": (),
    "os.environ.pop": (),
}
STORES = ("os.environ", "matplotlib.rcParams", "mpl.rcParams", "plt.rcParams")  # of items


def imported(tree: ast.AST, name: str) -> set[str]:
    """Absolute names of all that a module imports, inside functions too: {"dljax.nn.conv", ...}."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = name.split(".")[: -node.level] if node.level else []
            module = ".".join([*package, *([node.module] if node.module else [])])
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return found


def modules(names: set[str], known: set[str]) -> set[str]:
    """The modules of ours that imported names lie in: the module itself, or the one it is from."""
    found = set()
    for name in names:
        found |= {next((x for x in (name, name.rpartition(".")[0]) if x in known), "")} - {""}
    return found


def package(name: str) -> str:
    """'nn' of dljax.nn.x; 'experiments' of experiments.x."""
    parts = name.split(".")
    return parts[0] if parts[0] != "dljax" else parts[1] if len(parts) > 1 else ""


def inside(*packages: str) -> list[str]:
    return [name for name in TREES if package(name) in packages]


def dotted(node: ast.AST) -> str:
    """'jax.config.update' of that expression; '' for what is no chain of names."""
    if isinstance(node, ast.Name):
        return node.id
    before = dotted(node.value) if isinstance(node, ast.Attribute) else ""
    return f"{before}.{node.attr}" if before else ""


@functools.cache
def used(tree: ast.AST) -> dict[str, list[int]]:
    """Dotted name -> lines where it is used, be it called, passed on or a decorator."""
    found: dict[str, list[int]] = {}
    for node in ast.walk(tree):
        if name := dotted(node):
            found.setdefault(name, []).append(node.lineno)
    return found


def uses(tree: ast.AST, *names: str) -> list[int]:
    return sorted(line for name in names for line in used(tree).get(name, ()))


def stores(tree: ast.AST, *names: str) -> list[int]:
    """Lines where an item of one of these is set or deleted."""
    return sorted(
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript)
        and not isinstance(node.ctx, ast.Load)
        and dotted(node.value) in names
    )


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of nodes that reach each other; the components of Tarjan's algorithm."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            group = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(group) > 1 or node in graph[node]:
                found.append(sorted(group))

    for node in graph:
        if node not in index:
            visit(node)
    return found


GRAPH = {name: modules(imported(tree, name), set(TREES)) for name, tree in TREES.items()}


def test_the_scan_finds_what_it_should():
    text = (
        "import a.b\nif TYPE_CHECKING:\n    import c\ndef f():\n    from ..train import loop\n"
        "    jax.jit(g)\n@jax.jit\ndef h(): os.environ['A'] = os.environ['B']\n"
    )
    tree = ast.parse(text)
    assert imported(tree, "dljax.nn.x") == {"a.b", "c", "dljax.train.loop"}
    assert uses(tree, "jax.jit") == [6, 7] and stores(tree, "os.environ") == [8]
    known = {"dljax.plots", "dljax.plots.canvas", "dljax.data"}
    assert modules({"dljax.plots.canvas", "jax"}, known) == {"dljax.plots.canvas"}
    assert modules({"dljax.plots.draw", "dljax.data"}, known) == {"dljax.plots", "dljax.data"}
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"d"}, "e": {"a"}}) == [
        ["b", "c"], ["d"]
    ]  # fmt: skip
    assert all(inside(name) for name in BELOW) and CONFIGS and len(SCRIPTS) > 10


def test_no_module_imports_itself_by_way_of_others():
    """Imports inside functions and for type checking count too."""
    found = circles(GRAPH)
    assert not found, "circles of imports:\n" + "\n".join(map(str, found))


def test_each_package_is_known_here():
    known = {path.parent.name for path in (ROOT / "dljax").glob("*/__init__.py")}
    assert known == set(BELOW) - {"experiments"}, "name a new topic in TOPICS"


@pytest.mark.parametrize("name", sorted(BELOW))
def test_imports_run_one_way(name):
    """experiments -> apps -> run and topics -> envs, data, nn, train, plots; topics stay apart."""
    wrong = [
        f"{module} imports {other}"
        for module in inside(name)
        for other in GRAPH[module]
        if package(other) not in BELOW[name] | {name, ""}
    ]
    assert not wrong, "what two topics share moves down:\n" + "\n".join(sorted(wrong))


def test_no_experiment_imports_another():
    for module in inside("experiments"):
        assert not {x for x in GRAPH[module] if package(x) == "experiments"} - {"experiments"}


def test_nn_imports_jax_and_flax_alone():
    for name in inside("nn"):
        for found in imported(TREES[name], name):
            allowed = found.startswith("dljax.nn") or found.split(".")[0] in {"jax", "flax"}
            assert allowed or found.split(".")[0] in STANDARD, f"{name} imports {found}"


@pytest.mark.parametrize("library", OWNERS)
def test_a_library_is_imported_where_it_is_owned(library):
    wrong = [
        name
        for name in LIBRARY
        if not name.startswith(OWNERS[library] or ("nowhere",))
        and any(found.split(".")[0] == library for found in imported(TREES[name], name))
    ]
    owners = OWNERS[library] or "no file of dljax"
    assert not wrong, f"{library} may be imported in {owners} alone, not in {wrong}"


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_a_docstring_imports_and_main(name):
    """Its flags are an app's Config, and main imports the app and nothing else."""
    doc, *body = TREES[name].body
    assert isinstance(doc, ast.Expr) and name in ast.get_docstring(TREES[name])
    imports = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    main, start = (node for node in body if node not in imports)
    assert isinstance(main, ast.FunctionDef) and main.name == "main"
    assert ast.unparse(start.test) == "__name__ == '__main__'"
    assert ast.unparse(start.body).startswith("run_main(main, Config, __doc__")
    inner = [node for node in ast.walk(main) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert len(inner) == 1 and len(main.body) <= 3, "an app's work is done in dljax/apps"


def test_only_the_loop_runs_training_steps():
    """A Task's step is named in train/loop.py alone.

    jax.jit itself may stand elsewhere, for what is no step: the copy and digest of a checkpoint, an
    operator of nn, a prediction. In train/ the modules that may are listed.
    """
    may = {f"dljax.train.{name}" for name in ("loop", "checkpoint", "compilation", "export")}
    for name, tree in TREES.items():
        if name in ("dljax.train.loop", "dljax.train.parallel"):
            continue
        assert not uses(tree, "jax.pmap", "pmap"), f"{name} uses jax.pmap"
        assert not uses(tree, "task.step", "self.task.step"), f"{name} runs a task's step"
        if name.startswith("dljax.train.") and name not in may:
            assert not uses(tree, "jax.jit", "jit"), f"{name} uses jax.jit"


def test_the_library_does_not_print():
    """The foundation and the topics return what they find; run/ and apps/ speak to the user."""
    # The report is what prints; the decoder's worker processes speak to their parent.
    printers = ("dljax.train.report", "dljax.data.sources.decode")
    for name in inside(*FOUNDATION, *TOPICS):
        if name not in printers:
            assert not uses(TREES[name], "print"), f"{name} prints"


def outside_functions(tree: ast.AST) -> Iterator[ast.AST]:
    """What runs when a module is imported: all but the bodies of functions."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        yield node
        yield from outside_functions(node)


def test_global_settings_are_changed_by_main_alone():
    for name, tree in TREES.items():
        assert not stores(tree, *STORES), f"{name} sets {STORES}"
        for setter, owners in SETTERS.items():
            assert name in owners or not uses(tree, setter), f"{name} uses {setter}"
        for node in outside_functions(tree):
            assert dotted(node) not in SETTERS, f"{name}:{node.lineno} runs on import"


def python(text: str, *words: str) -> str:
    """What a fresh interpreter prints that runs `text`, with this repository on its path."""
    environment = {k: v for k, v in os.environ.items() if k not in ("MPLBACKEND", "XLA_FLAGS")}
    done = subprocess.run(
        [sys.executable, "-c", text, *words],
        env=environment | {"PYTHONPATH": str(ROOT)}, cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def on_import(tree: ast.AST) -> set[str]:
    """Names of the libraries that a module imports when it is imported itself."""
    nodes = [n for n in outside_functions(tree) if isinstance(n, ast.Import | ast.ImportFrom)]
    names = imported(ast.Module(nodes, []), "dljax.x.y")
    return {name for name in names if name.split(".")[0] not in ("dljax", "experiments")}


STATE = """
import importlib, json, logging, os, random, signal, sys, warnings
def state():
    import jax, matplotlib, numpy
    from absl import flags, logging as absl
    root = logging.getLogger()
    return {
        "jax.config": {k: repr(v) for k, v in jax.config.values.items()},
        "absl": [absl.get_verbosity(), sorted(flags.FLAGS)],
        "logging": [root.level, list(map(repr, root.handlers)), root.manager.disable],
        "environment": dict(os.environ),
        "warnings": list(map(repr, warnings.filters)),
        "matplotlib": {k: repr(matplotlib.rcParams._get(k)) for k in matplotlib.rcParams},
        "pyplot": "matplotlib.pyplot" in sys.modules,
        "numpy": [numpy.geterr(), repr(numpy.get_printoptions())],
        "random": [hash(random.getstate()), repr(numpy.random.get_state())],
        "signals": [repr(signal.getsignal(s)) for s in (signal.SIGINT, signal.SIGTERM)],
        "path": sys.path,
        "hooks": [repr(sys.excepthook), sys.getrecursionlimit()],
    }
libraries, ours = json.loads(sys.argv[1])
for name in libraries:
    try:
        importlib.import_module(name)
    except ImportError:
        importlib.import_module(name.rpartition(".")[0])
before = state()
for name in ours:
    importlib.import_module(name)
after = state()
for name in before:
    if before[name] != after[name]:
        a, b = before[name], after[name]
        if isinstance(a, dict):
            a, b = ({k: x[k] for k in x if a.get(k) != b.get(k)} for x in (a, b))
        print(name, "was", a, "and is", b)
"""


def test_importing_changes_nothing():
    """Beyond what the libraries do themselves, which are imported before."""
    libraries = sorted(set().union(*(on_import(tree) for tree in TREES.values())))
    ours = [name for name in TREES if name != "experiments.__main__"]
    changed = python(STATE, json.dumps([libraries, ours]))
    assert not changed, changed


LIGHT = r"""
import importlib, io, json, re, runpy, sys
from contextlib import redirect_stdout
from dljax.run.config import served
HEAVY = ("jax", "flax", "numpy", "optax")
configs, scripts = json.loads(sys.argv[1])
for name in configs:
    importlib.import_module(name)
    heavy = [x for x in HEAVY if x in sys.modules]
    assert not heavy, f"{name} imports {heavy}"
for name in scripts:
    sys.argv = ["x", "--help"]
    with redirect_stdout(io.StringIO()) as text:
        try:
            runpy.run_module(name, run_name="__main__", alter_sys=True)
        except SystemExit as end:
            assert end.code == 0, (name, end.code)
    heavy = [x for x in HEAVY if x in sys.modules]
    assert not heavy, f"{name} --help imports {heavy}"
    text = text.getvalue()
    lines = text.splitlines()
    usage = re.compile(rf"usage: python -m {name} ([A-Z]+ \.\.\. )?\[--flag=value \.\.\.\]")
    assert any(map(usage.fullmatch, lines)), name
    assert max(map(len, lines)) <= 100, f"{name} --help: {max(lines, key=len)}"
    shown = set(re.findall(r"^ {2}--(?:\[no\])?(\w+)(?:=[A-Z]+(?:,\.\.\.)?)?(?= |$)", text, re.M))
    known = {x.name for x in served(importlib.import_module(name).Config)}
    assert shown == known, f"{name} --help: {shown ^ known}"
"""


def test_help_needs_no_jax():
    """So that a question is answered at once; within 100 columns, each flag apart from its text."""
    python(LIGHT, json.dumps([CONFIGS, SCRIPTS]))


def test_the_version_is_said_once():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert declared["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "dljax.__version__"}
    assert "version" in declared["project"]["dynamic"] and dljax.__version__.count(".") == 2


def test_apps_import_what_training_needs():
    """What draws, compares or keeps comes when it is used, and delays no start."""
    apps = [name for name in inside("apps") if name not in CONFIGS]
    text = f"import importlib, sys; list(map(importlib.import_module, {apps})); print(*sys.modules)"
    late = {"orbax", "orbax.checkpoint", "grain", "tensorflow_datasets", "gymnax", "sklearn"}
    late |= {"matplotlib", "pandas", "scipy.stats", "scipy.optimize"}
    assert not late & set(python(text).split())


def test_the_benchmarks_of_a_gpu_need_few_libraries():
    """docs/gpu.md lists them; and no device is asked for before its memory is settled."""
    text = (
        "import sys, jax, benchmarks.gpu; print(*sys.modules)\n"
        "jax.config.update('jax_num_cpu_devices', 3); print(f'{jax.device_count()} devices')"
    )
    printed = python(text).split()
    absent = {
        "grain",
        "tensorflow_datasets",
        "tensorboardX",
        "gymnax",
        "pandas",
        "sklearn",
        "torch",
    }
    assert not absent & set(printed) and printed[-2:] == ["3", "devices"]
