"""Members of a sweep: each is what it would be alone, and survives a checkpoint."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import PartitionSpec as P

from dljax.data import feed
from dljax.train import loop, sweep_task
from dljax.train.checkpoint import Store
from tests import helpers
from tests.helpers import assert_close, assert_same, devices, one_seed

SEEDS = (1, 2, 1, 2)
RATES = np.array([0.05, 0.05, 0.2, 0.2], np.float32)
STEPS, DATA, ONE = 6, feed.empty(), devices(1)


def make(values):
    return helpers.toy(optax.sgd(values["rate"]))


TASK = sweep_task.task(make, P())


def trained(rates, seeds, chunks=(STEPS,), placement=ONE, run=None):
    run = run or loop.start(TASK, seeds, placement, ({"rate": rates},))
    return helpers.run_steps(TASK, DATA, placement, seeds, chunks, run, length=STEPS)


@pytest.fixture(scope="module")
def whole():
    return trained(RATES, SEEDS)[0]


def test_a_member_is_what_it_is_alone(whole):
    alone, _ = trained(RATES[3:], SEEDS[3:])
    assert_same(one_seed(alone, 0), one_seed(whole, 3))
    weights = np.asarray(whole.states.state["weights"])
    assert len(np.unique(weights, axis=0)) == 4
    np.testing.assert_array_equal(whole.states.values["rate"], RATES)


def test_a_member_is_a_run_with_that_number(whole):
    run, _ = helpers.run_steps(make({"rate": 0.2}), DATA, ONE, (1,), [STEPS])
    assert_close(one_seed(run, 0)[1], one_seed(whole, 2)[1].state, atol=1e-6)
    assert_same(run.keys[0], whole.keys[2])


def test_resume(whole, tmp_path):
    middle, _ = trained(RATES, SEEDS, [2])
    with Store(tmp_path) as store:
        store.save(2, middle, {})
    with Store(tmp_path) as store:
        found, _ = store.restore(loop.abstract_run(TASK, SEEDS, ONE, ({"rate": RATES},)))
    assert_same(trained(None, SEEDS, [4], run=found)[0], whole)


def test_members_on_several_devices(whole):
    run, _ = trained(RATES, SEEDS, placement=devices(4, "replica"))
    assert_close(run, whole, atol=1e-6)


def test_evaluation_has_the_values(whole):
    def at_rate(values):
        def evaluate(state, batch, key):
            return {
                "rate": (values["rate"] * batch["example_mask"].sum(), batch["example_mask"].sum())
            }

        return make(values)._replace(evaluate=evaluate)

    sums = loop.evaluate(sweep_task.task(at_rate, P()), whole, helpers.episodes(5, 2), ONE)
    np.testing.assert_allclose(sums["rate"][0] / sums["rate"][1], RATES, 1e-6)


def scaled(by):
    """A task whose step multiplies by what `by` makes of the values."""

    def of(values):
        def step(state, batch, key):
            return state, {"loss": (state * by(values), jnp.float32(1))}

        return loop.Task(lambda key: jnp.float32(1), step, evaluate=None)

    return of


@pytest.mark.parametrize(
    "by",
    [
        lambda values: 2.0,  # unused
        lambda values: 2.0 if values["size"] else 1.0,
        lambda values: jnp.ones(values["size"]).sum(),
        lambda values: float(values["size"]),
        lambda values: sum(range(values["size"])),
    ],
)
def test_what_is_no_number_of_the_step_is_refused(by):
    with pytest.raises(ValueError, match="size can't be swept") as caught:
        sweep_task.check(scaled(by), DATA, {"size": np.int32(2)})
    assert "\n" not in str(caught.value)


def test_what_is_a_number_of_the_step_is_accepted():
    sweep_task.check(scaled(lambda values: jnp.where(values["size"] > 1, 2.0, 1.0)), DATA,
                  {"size": np.int32(2)})  # fmt: skip
    sweep_task.check(make, DATA, {"rate": RATES[0]})
