import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dljax.train import muon, optim

NAMES = list(optim.OPTIMIZERS)


def run(tx, params, gradients):
    """The parameters after each of the given gradients, and the last state."""

    @jax.jit
    def step(params, state, gradient):
        updates, state = tx.update(gradient, state, params)
        return optax.apply_updates(params, updates), state

    state, trace = jax.jit(tx.init)(params), []
    for gradient in gradients:
        params, state = step(params, state, gradient)
        trace.append(params)
    return trace, state


def assert_close(got, expected, rtol=1e-4, atol=1e-5):
    """Newton-Schulz, and Adam's division by a root, magnify the rounding of float32."""
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol, atol), got, expected)


def steps_of(name, gradients, learning_rate=0.1, start=1.0, **settings):
    """A scalar parameter's values under the given gradients."""
    tx = optim.optimizer(name, learning_rate, **settings)
    trace, _ = run(tx, jnp.asarray(start), [jnp.asarray(g) for g in gradients])
    return np.array(trace)


def layers(seed=0):
    shapes = {
        "conv": {"kernel": (3, 3, 2, 4)},
        "norm": {"scale": (4,)},
        "head": {"kernel": (4, 3), "bias": (3,)},
    }
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda shape: jnp.asarray(rng.normal(size=shape), jnp.float32),
        shapes,
        is_leaf=lambda node: isinstance(node, tuple),
    )


# Schedules


def rates(name, steps, at, **settings):
    rate = optim.schedule(name, 0.8, steps, **settings)
    return np.array([rate(step) for step in at])


def test_constant_schedule():
    np.testing.assert_allclose(rates("constant", 10, [0, 5, 10, 99]), 0.8)
    np.testing.assert_allclose(rates("constant", 10, [0, 1, 4, 10], warmup=4), [0, 0.2, 0.8, 0.8])


def test_linear_schedule_is_a_triangle():
    got = rates("linear", 10, [0, 1, 2, 6, 10, 20], warmup=2, final=0.4)
    np.testing.assert_allclose(got, [0, 0.4, 0.8, 0.6, 0.4, 0.4], rtol=1e-6)


def test_cosine_schedule():
    got = rates("cosine", 8, [0, 2, 4, 8, 9])
    np.testing.assert_allclose(got[[0, 2, 3, 4]], [0.8, 0.4, 0, 0], atol=1e-7)
    np.testing.assert_allclose(got[1], 0.4 * (1 + np.cos(np.pi / 4)), rtol=1e-6)
    got = rates("cosine", 8, [2, 8], warmup=2, final=0.1)
    np.testing.assert_allclose(got, [0.8, 0.1], rtol=1e-6)


def test_one_cycle_schedule_equals_pytorch():
    torch = pytest.importorskip("torch")
    sgd = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    # PyTorch counts 21 points, the peak at pct_start * 21 - 1 = 6 and the end at 20
    cycle = torch.optim.lr_scheduler.OneCycleLR(sgd, 0.8, 21, pct_start=1 / 3, cycle_momentum=False)
    expected = [cycle.get_last_lr()[0]]
    for _ in range(20):
        sgd.step()
        cycle.step()
        expected.append(cycle.get_last_lr()[0])
    got = rates("one_cycle", 20, range(21), warmup=6, final=0.8 / 25 / 1e4)
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_one_cycle_rises_for_30_percent_by_default():
    got = rates("one_cycle", 10, [0, 3, 10])
    np.testing.assert_allclose(got, [0.8 / 25, 0.8, 0], atol=1e-8)


@pytest.mark.parametrize(
    "arguments", [{"warmup": 11}, {"warmup": -1}, {"steps": 0}, {"name": "staircase"}]
)
def test_schedule_refuses(arguments):
    arguments = {"name": "cosine", "peak": 0.1, "steps": 10} | arguments
    with pytest.raises(ValueError, match="warmup|staircase"):
        optim.schedule(**arguments)


# Steps by hand: learning rate 0.1, gradients 1 then 2, from 1


def test_sgd():
    np.testing.assert_allclose(steps_of("sgd", [1.0, 2.0]), [0.9, 0.7], rtol=1e-6)


def test_momentum():
    # velocity 1, then 0.9 * 1 + 2 = 2.9
    np.testing.assert_allclose(steps_of("momentum", [1.0, 2.0]), [0.9, 0.61], rtol=1e-6)


def test_nesterov():
    # 1 + 0.9 * 1 = 1.9, then 2 + 0.9 * 2.9 = 4.61
    np.testing.assert_allclose(steps_of("nesterov", [1.0, 2.0]), [0.81, 0.349], rtol=1e-6)


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_adam(name):
    # first step: the sign; second: m = (0.9 * 0.1 + 0.2) / 0.19, v = (0.999e-3 + 4e-3) / 1.999e-3
    second = 0.9 - 0.1 * (0.29 / 0.19) / np.sqrt(4.999e-3 / 1.999e-3)
    np.testing.assert_allclose(steps_of(name, [1.0, 2.0]), [0.9, second], rtol=1e-5)


def test_lion():
    # update sign(0.9 m + 0.1 g), then m <- 0.99 m + 0.01 g: m = 0.05, and 0.045 - 0.02 > 0
    np.testing.assert_allclose(steps_of("lion", [5.0, -0.2, -2.0]), [0.9, 0.8, 0.9], rtol=1e-6)


def test_muon_orthogonalises_a_kernel_as_a_matrix_and_leaves_the_rest_to_adam():
    params, gradient = layers(0), layers(1)
    (new,), _ = run(optim.optimizer("muon", 1.0), params, [gradient])
    step = jax.tree.map(jnp.subtract, params, new)
    # Newton-Schulz brings singular values to about 1 (0.7 to 1.2), here times 0.2 sqrt(max side)
    matrix = np.asarray(step["conv"]["kernel"]).reshape(18, 4) / (0.2 * np.sqrt(18))
    singular = np.linalg.svd(matrix, compute_uv=False)
    assert 0.6 < singular.min() <= singular.max() < 1.3
    u, _, vt = np.linalg.svd(np.asarray(gradient["conv"]["kernel"]).reshape(18, 4), False)
    assert np.sum(matrix * (u @ vt)) / 4 > 0.7
    for layer, leaf in [("norm", "scale"), ("head", "kernel"), ("head", "bias")]:
        np.testing.assert_allclose(step[layer][leaf], np.sign(gradient[layer][leaf]), rtol=1e-4)


def test_muon_agrees_with_optax_on_many():
    """Kernels of several shapes, two of one, over steps; the states are the same too."""
    shapes = {"a": (3, 3, 4, 8), "b": (3, 3, 4, 8), "wide": (5, 12), "square": (8, 8)}
    keys = jax.random.split(jax.random.key(0), 4)
    gradients = [{n: jax.random.normal(key, x) for n, x in shapes.items()} for key in keys]

    def as_matrices(params):
        kinds = optax.contrib.MuonDimensionNumbers
        return jax.tree.map(lambda x: kinds(tuple(range(x.ndim - 1)), x.ndim - 1), params)

    theirs = optax.contrib.scale_by_muon(beta=0.9, weight_dimension_numbers=as_matrices)
    found = run(muon.scale_by_muon(0.9), gradients[0], gradients)
    expected = run(theirs, gradients[0], gradients)
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5), found, expected
    )


def test_muon_agrees_with_optax_on_a_matrix():
    gradient, params = layers(1)["head"]["kernel"], layers(0)["head"]["kernel"]
    ours, _ = run(optim.optimizer("muon", 0.1), {"dense": params}, [{"dense": gradient}] * 2)
    whole = optax.contrib.muon(0.1, consistent_rms=0.2)
    theirs, _ = run(whole, {"dense": params}, [{"dense": gradient}] * 2)
    np.testing.assert_allclose(ours[-1]["dense"], theirs[-1]["dense"], rtol=1e-5)


@pytest.mark.parametrize("shape", [(8, 72), (72, 8), (3, 3, 8, 16), (16, 16)])
@pytest.mark.parametrize("smallest", [1.0, 1e-3, 1e-6, 0.0])
def test_muon_iterates_as_defined(shape, smallest):
    """In float64, as Jordan writes it, for matrices of any condition."""
    rows, columns = np.prod(shape[:-1]), shape[-1]
    rng, rank = np.random.default_rng(0), min(rows, columns)
    u, v = (np.linalg.qr(rng.normal(size=(n, rank)))[0] for n in (rows, columns))
    kernel = ((u * np.linspace(1, smallest, rank) ** 3) @ v.T).reshape(shape)
    a, b, c = muon.COEFFICIENTS
    x = kernel.reshape(rows, columns) / np.linalg.norm(kernel)
    for _ in range(muon.ITERATIONS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    found = muon.orthogonal({"kernel": jnp.asarray(kernel, jnp.float32)})["kernel"]
    np.testing.assert_allclose(found, x.reshape(shape), atol=1e-3)


def test_muon_multiplies_in_float32_on_every_device():
    """By default, a GPU rounds factors to TF32 and a TPU to bfloat16: the iteration diverges."""
    kernels = [jnp.ones((3, 3, 4, 8)), jnp.ones((5, 12))]
    text = jax.jit(muon.orthogonal).lower(kernels).as_text()
    products = [line for line in text.splitlines() if "dot_general" in line]
    assert len(products) > 10
    assert all("precision = [HIGHEST, HIGHEST]" in line for line in products)


def test_muon_of_nothing_is_nothing():
    assert not muon.orthogonal([jnp.zeros((3, 3, 4, 8))])[0].any()


def test_muon_lets_the_caller_name_the_output_layer():
    params, gradient = layers(0), layers(1)
    tx = optim.optimizer("muon", 1.0, is_output=lambda path: path == ("conv", "kernel"))
    (new,), _ = run(tx, params, [gradient])
    np.testing.assert_allclose(
        params["conv"]["kernel"] - new["conv"]["kernel"],
        np.sign(gradient["conv"]["kernel"]),
        rtol=1e-3,
    )


# What is common to all of them


@pytest.mark.parametrize("name", NAMES)
def test_learning_rate_zero_changes_nothing(name):
    params = layers()
    (new,), _ = run(optim.optimizer(name, 0.0, weight_decay=0.1), params, [layers(1)])
    jax.tree.map(np.testing.assert_array_equal, new, params)


@pytest.mark.parametrize("name", NAMES)
def test_weight_decay_spares_biases_and_norms(name):
    params, gradients = layers(), [layers(1)] * 2
    with_decay, _ = run(optim.optimizer(name, 0.1, weight_decay=0.3), params, gradients)
    without, _ = run(optim.optimizer(name, 0.1), params, gradients)
    same = jax.tree.map(lambda a, b: bool(jnp.all(a == b)), with_decay[-1], without[-1])
    assert same == {
        "conv": {"kernel": False},
        "norm": {"scale": True},
        "head": {"kernel": False, "bias": True},
    }


def test_weight_decay_by_hand():
    # L2 enters the momentum: v = 1 + 0.5 * 2, then 0.9 * 2 + 1 + 0.5 * 1.8 = 3.7
    kernel, one = jnp.full((1, 1), 2.0), jnp.ones((1, 1))
    trace, _ = run(optim.optimizer("momentum", 0.1, weight_decay=0.5), kernel, [one, one])
    np.testing.assert_allclose(np.ravel(trace), [1.8, 1.43], rtol=1e-6)
    # decoupled: the sign of the gradient and 0.5 * 2
    trace, _ = run(optim.optimizer("adamw", 0.1, weight_decay=0.5), kernel, [one])
    np.testing.assert_allclose(np.ravel(trace), [2 - 0.1 * (1 + 1)], rtol=1e-6)


def test_clipping_by_the_global_norm():
    gradient = {"a": jnp.array([3.0]), "b": jnp.array([4.0])}
    assert float(optax.global_norm(gradient)) == pytest.approx(5.0)
    zeros = jax.tree.map(jnp.zeros_like, gradient)
    (new,), _ = run(optim.optimizer("sgd", 1.0, clip_norm=1.0), zeros, [gradient])
    np.testing.assert_allclose([new["a"][0], new["b"][0]], [-0.6, -0.8], rtol=1e-6)
    (new,), _ = run(optim.optimizer("sgd", 1.0, clip_norm=6.0), zeros, [gradient])
    np.testing.assert_allclose([new["a"][0], new["b"][0]], [-3.0, -4.0])


@pytest.mark.parametrize("name", ["nesterov", "adamw", "muon"])
def test_accumulation_equals_the_big_batch(name):
    rate = optim.schedule("linear", 0.1, 6)
    small = [layers(seed) for seed in range(1, 7)]
    means = [jax.tree.map(lambda a, b, c: (a + b + c) / 3, *small[i : i + 3]) for i in (0, 3)]
    settings = {"weight_decay": 0.1, "clip_norm": 1.0, "ema": 0.5}
    tx = optim.optimizer(name, rate, accumulate=3, **settings)
    trace, state = run(tx, layers(), small)
    big_rate = lambda count: rate(3 * count)  # noqa: E731
    big, big_state = run(optim.optimizer(name, big_rate, **settings), layers(), means)
    jax.tree.map(np.testing.assert_array_equal, trace[1], layers())
    assert_close([trace[2], trace[5]], big)
    assert_close(optim.ema_params(state, None), optim.ema_params(big_state, None))


def test_ema_by_hand():
    # p = 0.9, 0.7, 0.4 at decay 0.5: (p1 + 2 p2 + 4 p3) / 7
    tx, start = optim.optimizer("sgd", 0.1, ema=0.5), jnp.asarray(1.0)
    assert optim.ema_params(tx.init(start), None) == 1.0
    _, state = run(tx, start, [jnp.asarray(g) for g in (1.0, 2.0, 3.0)])
    np.testing.assert_allclose(optim.ema_params(state, None), (0.9 + 1.4 + 1.6) / 7, rtol=1e-6)


@pytest.mark.parametrize("decay", [0.0, 0.9999])
def test_first_average_is_the_first_parameters(decay):
    trace, state = run(optim.optimizer("sgd", 0.1, ema=decay), layers(), [layers(1)])
    assert_close(optim.ema_params(state, None), trace[0], rtol=1e-5, atol=0)


def test_ema_params_without_an_average_are_the_params():
    params = layers()
    assert optim.ema_params(optim.optimizer("adam", 0.1).init(params), params) is params


@pytest.mark.parametrize("name", ["nesterov", "adamw", "muon"])
def test_vmap_over_seeds_inside_jit_and_scan(name):
    tx = optim.optimizer(
        name, optim.schedule("cosine", 0.1, 6, warmup=2), accumulate=2, ema=0.9, clip_norm=1.0
    )
    gradients = [layers(seed) for seed in range(1, 5)]

    @jax.jit
    @jax.vmap
    def train(params):
        def step(carry, gradient):
            params, state = carry
            updates, state = tx.update(gradient, state, params)
            return (optax.apply_updates(params, updates), state), None

        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *gradients)
        return jax.lax.scan(step, (params, tx.init(params)), stacked)[0][0]

    both = train(jax.tree.map(lambda *leaves: jnp.stack(leaves), layers(7), layers(8)))
    for index, seed in enumerate((7, 8)):
        alone = run(tx, layers(seed), gradients)[0][-1]
        assert_close(jax.tree.map(lambda leaf, i=index: leaf[i], both), alone)


def test_an_optimizer_that_asks_for_more_than_the_gradient_is_refused():
    params = {"w": jnp.ones((2, 3))}
    for tx, wanted in (
        (optax.lbfgs(), "value, grad, value_fn"),
        (optax.chain(optax.clip(1.0), optax.polyak_sgd()), "value"),
    ):
        with pytest.raises(ValueError, match=f"asks for {wanted} besides the gradient") as error:
            optim.update(tx, params, tx.init(params), params)
        assert "\n" not in str(error.value)
    tx = optax.lbfgs(0.5, linesearch=None)  # as the refusal advises
    after, _ = optim.update(tx, params, tx.init(params), params)
    assert (after["w"] < 1).all()


@pytest.mark.parametrize(
    "arguments",
    [
        {"name": "sgdm"},
        {"momentum": 1.0},
        {"weight_decay": -1e-4},
        {"clip_norm": 0.0},
        {"accumulate": 0},
        {"ema": 1.0},
    ],
)
def test_optimizer_refuses(arguments):
    with pytest.raises(ValueError, match=r"sgdm|must be"):
        optim.optimizer(**({"name": "sgd", "learning_rate": 0.1} | arguments))
