"""What a character language model costs: training and sampling against PyTorch, long recurrences.

    python -m benchmarks.language [--workdir=DIR] [--repeats=5] [--only=LSTM]

Training: two layers of 512 units, LSTM and GRU, characters one-hot, cross-entropy, SGD with
momentum, float32; ours in the shared loop, PyTorch eager. Both start from the same weights and see
the same batch; the losses of three steps must agree; then stretches of 10 steps are timed in turn.

Sampling: characters a second of one stream drawn from the same networks, ours in the compiled loop
of rnn/language/sampling.py, PyTorch a character at a time under inference_mode.

Recurrence: tokens a second of a training step of minGRU and of GRU, one layer of 256, at length
2048, and the memory of each compiled program.

Prints tables; --workdir gets summary.json with the ratios over the repetitions.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import contest
from dljax.nn.language import RecurrentLM
from dljax.nn.recurrent import layers
from dljax.nn.recurrent.linear import MinGRU
from dljax.rnn.language import sampling
from dljax.train import report
from dljax.train.metrics import softmax_loss

try:
    import torch
except ImportError:
    raise SystemExit("benchmarks.language compares with PyTorch: pip install torch") from None

VOCABULARY, FEATURES, DEPTH = 88, 512, 2
BATCH, LENGTH = 50, 100  # of Karpathy et al. 2015
LONG, SAMPLED = 2048, 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", type=Path, help="where summary.json goes")
    parser.add_argument("--repeats", type=int, default=5, help="timed stretches of each")
    parser.add_argument("--only", default="", help="the cases whose name holds this")
    flags = parser.parse_args()
    versions = f"jax {jax.__version__}, torch {torch.__version__}"
    print(f"{report.device_name()}, {torch.get_num_threads()} threads; {versions}")
    begin, metrics = time.perf_counter(), {}
    for layer in ("LSTM", "GRU"):
        if flags.only not in layer:
            continue
        net, model, params = networks(layer)
        times = training(layer, net, model, params, flags.repeats)
        ratios = contest.tell(f"{layer} 2 x 512, a training step", times, ("torch",))
        metrics[f"{layer}: dljax / torch, time of a step"] = ratios
        rates = drawing(net, model, params, flags.repeats)
        ratios = rates["dljax"] / rates["torch"]
        print(f"{layer}, sampling: {np.median(rates['dljax']):.0f} characters a second, torch "
              f"{np.median(rates['torch']):.0f}: {np.median(ratios):.2f} times")  # fmt: skip
        metrics[f"{layer}: dljax / torch, characters a second"] = ratios
    if flags.only in "recurrence":
        times, memory = recurrences(flags.repeats)
        ratios = times["GRU"] / times["minGRU"]
        print(f"length {LONG}: minGRU has {np.median(ratios):.2f} times the rate of GRU")
        for name, size in memory.items():
            print(f"  {name}: {np.median(times[name]):.1f} ms a step, {size / 2**20:.0f} MiB")
            metrics[f"{name}: MiB at length {LONG}"] = np.array([size / 2**20])
        metrics[f"minGRU / GRU, rate at length {LONG}"] = ratios
    contest.finish("language", flags.workdir, {"repeats": flags.repeats}, metrics, begin)


class Net(torch.nn.Module):
    """The same network in PyTorch."""

    def __init__(self, layer: str):
        super().__init__()
        self.rnn = getattr(torch.nn, layer)(VOCABULARY, FEATURES, DEPTH, batch_first=True)
        self.head = torch.nn.Linear(FEATURES, VOCABULARY)

    def forward(self, tokens: Any, state: Any = None) -> tuple[Any, Any]:
        x = torch.nn.functional.one_hot(tokens, VOCABULARY).float()
        h, state = self.rnn(x, state)
        return self.head(h), state


def networks(layer: str) -> tuple[Net, RecurrentLM, Any]:
    """PyTorch's network, ours, and our parameters, with equal weights."""
    torch.manual_seed(0)
    net = Net(layer)
    if layer != "GRU":  # we train the sum of its two biases
        for i in range(DEPTH):
            getattr(net.rnn, f"bias_ih_l{i}").data += getattr(net.rnn, f"bias_hh_l{i}").data
            getattr(net.rnn, f"bias_hh_l{i}").data.zero_()
            getattr(net.rnn, f"bias_hh_l{i}").requires_grad_(False)
    state = {name: x.detach().numpy().copy() for name, x in net.rnn.state_dict().items()}
    head = {
        "kernel": jnp.asarray(net.head.weight.detach().numpy().T.copy()),
        "bias": jnp.asarray(net.head.bias.detach().numpy().copy()),
    }
    stack = layers.Stack(FEATURES, DEPTH, getattr(layers, layer))
    params = {"stack": layers.from_torch(state), "head": head}
    return net, RecurrentLM(VOCABULARY, stack), params


def training(
    layer: str, net: Net, model: RecurrentLM, params: Any, repeats: int
) -> dict[str, np.ndarray]:
    """Milliseconds a step of each contestant [repeats]; ValueError when losses disagree."""
    tokens = np.random.default_rng(0).integers(0, VOCABULARY, (BATCH, LENGTH + 1))
    batch = {"tokens": tokens.astype(np.int32)}

    def loss(params, stats, batch):
        _, logits = model.apply({"params": params}, batch["tokens"][:, :-1])
        return softmax_loss(logits, batch["tokens"][:, 1:]).mean(), stats

    contestants = {
        "dljax": contest.in_our_loop(loss, params, {}, batch)[0],
        "torch": eager(net, torch.tensor(tokens)),
    }
    contest.check_equal(layer, contestants)
    return contest.interleaved(contestants, repeats)


def eager(net: Net, tokens: torch.Tensor) -> contest.Steps:
    """A contestant that trains in PyTorch."""
    trained = [p for p in net.parameters() if p.requires_grad]
    tx = torch.optim.SGD(trained, contest.RATE, contest.MOMENTUM)
    x, y = tokens[:, :-1].contiguous(), tokens[:, 1:].reshape(-1)

    def steps(k: int) -> float:
        for _ in range(k):
            loss = torch.nn.functional.cross_entropy(net(x)[0].reshape(-1, VOCABULARY), y)
            tx.zero_grad()
            loss.backward()
            tx.step()
        return loss.item()

    return steps


def drawing(net: Net, model: RecurrentLM, params: Any, repeats: int) -> dict[str, np.ndarray]:
    """Characters a second of each [repeats], in turn."""
    never, one = np.zeros(VOCABULARY, bool), jnp.float32(1)
    variables = {"params": params}
    carries, logits = jax.jit(model.apply)(variables, np.zeros((1, 1), np.int32), model.start(1))

    def ours() -> None:
        drawn = sampling.draw(
            model, variables, carries, logits[:, -1], jax.random.key(0), never, one, one,
            count=SAMPLED, top_k=0,
        )  # fmt: skip
        jax.block_until_ready(drawn)

    @torch.inference_mode()
    def theirs() -> None:
        token, state = torch.zeros((1, 1), dtype=torch.long), None
        for _ in range(SAMPLED):
            logits, state = net(token, state)
            token = torch.multinomial(torch.softmax(logits[:, -1], -1), 1)

    return {
        name: SAMPLED / seconds
        for name, seconds in in_turn({"dljax": ours, "torch": theirs}, repeats).items()
    }


def recurrences(repeats: int) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """Milliseconds [repeats] of a step of each layer at length LONG, and bytes of its program."""
    x = jax.random.normal(jax.random.key(0), (4, LONG, 256))
    calls: dict[str, Callable[[], None]] = {}
    memory = {}
    for name, layer in (("minGRU", MinGRU(256)), ("GRU", layers.GRU(256))):
        variables = layer.init(jax.random.key(1), x)

        def loss(variables, x, layer=layer):
            return jnp.mean(jnp.square(layer.apply(variables, x)[1]))

        program = jax.jit(jax.grad(loss, argnums=(0, 1))).lower(variables, x).compile()
        memory[name] = program.memory_analysis().temp_size_in_bytes
        calls[name] = lambda p=program, v=variables: jax.block_until_ready(p(v, x))
    return {name: 1e3 * s for name, s in in_turn(calls, repeats).items()}, memory


def in_turn(calls: dict[str, Callable[[], None]], repeats: int) -> dict[str, np.ndarray]:
    """Seconds [repeats] of each call, A B A B ..., after one of each that is not timed."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(repeats):
        for name, call in calls.items():
            begin = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - begin)
    return {name: np.array(x) for name, x in seconds.items()}


if __name__ == "__main__":
    main()
