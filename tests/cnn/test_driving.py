"""Driving in closed loop: scores by hand, teachers against a car that is not steered."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dljax.cnn.driving import baselines, closed_loop, drivers, networks
from dljax.cnn.driving.closed_loop import Drive
from dljax.cnn.driving.target import Target
from dljax.data import feed
from dljax.envs.driving import teachers
from dljax.envs.driving.environment import Settings
from dljax.train import loop, parallel
from dljax.train.checkpoint import Store
from tests.cnn import roads

BLIND = Settings(view=None, speed=10.0, limit=1200)


def test_scores_by_hand():
    """Ten steps of 0.1 s on a road of 8 m, a metre each: the lap ends after eight."""
    steps = jnp.arange(10.0)
    lateral = jnp.array([0, 1, -1, 2, 0, 4, 0, 0, 9, 9.0])
    left = jnp.zeros(10, bool).at[jnp.array([5])].set(True)
    steer = jnp.array([0, 0, 0.1, 0, 0, 0, 0, 0, 0.3, 0.3])
    driven = Drive(
        steps,
        steps,
        lateral,
        steer,
        jnp.full(10, 10.0),
        steps,
        steps < 8,
        left,
        steps + 1,
        jnp.full(10, 8.0),
    )
    found = closed_loop.scores(BLIND, driven)
    assert found["interventions"] == 1
    np.testing.assert_allclose(found["completed"], 6 / 8)
    np.testing.assert_allclose(found["autonomy"], 0)  # six seconds of 0.8
    np.testing.assert_allclose(found["kilometres"], 0.008)
    np.testing.assert_allclose(found["lateral_mean"], 8 / 8)
    np.testing.assert_allclose(found["lateral_worst"], 4)
    np.testing.assert_allclose(found["lateral_95"], np.percentile(np.abs(lateral[:8]), 95))
    change = 100 * np.tan(0.1) / BLIND.vehicle.wheelbase / 0.1
    np.testing.assert_allclose(found["jerk"], np.sqrt(2 * change**2 / 7), rtol=1e-5)
    nobody = closed_loop.scores(BLIND, driven._replace(intervened=jnp.zeros(10, bool)))
    assert nobody["completed"] == 1 and nobody["autonomy"] == 1


def test_a_teacher_drives_laps_and_a_car_that_is_not_steered_does_not():
    batch = {"drive": jnp.arange(4), "example_mask": jnp.array([1.0, 1, 1, 0])}
    teacher = drivers.of_teacher(BLIND, teachers.pure_pursuit)
    both = [
        jax.jit(lambda batch, d=driver: closed_loop.evaluate(BLIND, d, batch))(batch)
        for driver in (teacher, baselines.STRAIGHT_ON)
    ]
    good, bad = ({k: float(n / d) for k, (n, d) in sums.items()} for sums in both)
    assert good["completed"] == 1 and good["autonomy"] == 1
    assert good["interventions_per_km"] == 0 and good["lateral_mean"] < 0.2
    assert bad["completed"] < 0.5 and bad["interventions_per_km"] > 5
    assert both[0]["completed"][1] == 3  # the masked drive counts for nothing


def test_networks_refuse_pictures_that_are_too_small():
    net = networks.SteeringNet()
    with pytest.raises(ValueError, match="16x40 are too small for a network of 5"):
        net.init(jax.random.key(0), jnp.zeros((1, 16, 40, 3)))
    assert net.apply(
        net.init(jax.random.key(0), jnp.zeros((1, 64, 160, 3))), jnp.zeros((2, 64, 160, 3))
    ).shape == (2,)


def test_dagger_remembers_where_its_cars_were():
    task = roads.task("dagger")
    state = jax.jit(task.init)(jax.random.key(0))
    step = jax.jit(task.step)
    errors = []
    for i in range(12):
        state, sums = step(state, (), jax.random.key(i))
        errors.append(float(sums["mae_degrees"][0] / sums["mae_degrees"][1]))
    assert int(state.step) == 12 and np.isfinite(errors).all()
    filled = np.asarray(state.visits.x)[:24]
    assert (filled != 0).all() and (np.asarray(state.visits.x)[24:] == 0).all()


def test_a_network_with_a_memory_drives_as_it_learned():
    """A drive at once, as a lesson, equals picture by picture, as in the car."""
    model, rng = roads.recurrent(outputs=2), np.random.default_rng(0)
    pictures = rng.random((3, 5, 8, 16, 3), np.float32)
    variables = model.init(jax.random.key(0), pictures)
    start = networks.start(model, 3)
    last, whole = networks.follow(model, variables, start, pictures)
    memory, each = start, []
    for t in range(5):
        memory, outputs = networks.follow(model, variables, memory, pictures[:, t : t + 1])
        each.append(outputs)
    np.testing.assert_allclose(np.concatenate(each, 1), whole, atol=1e-5)
    np.testing.assert_allclose(memory, last, atol=1e-5)
    dark = pictures.copy()
    dark[:, :3] = 0
    _, other = networks.follow(model, variables, start, dark)
    assert (np.abs(other[:, 4] - whole[:, 4]) > 1e-4).all()  # it remembers what it saw


def test_answers_by_hand():
    simulation = roads.SIMULATION._replace(pedal=True)
    target = Target(1.0, (-1.0, 0.0, 1.0))
    assert drivers.outputs_of(simulation, target) == 4
    assert drivers.outputs_of(simulation, Target()) == 2
    assert drivers.outputs_of(roads.SIMULATION, target) == 3
    assert drivers.outputs_of(roads.SIMULATION, Target()) == 0
    outputs = jnp.array([[np.log(3), 0, 0, 0.7]])
    found = drivers.answered(simulation, target, outputs)
    np.testing.assert_allclose(found, [[(1 - 3) / 5, 0.7]], rtol=1e-5)
    plain = drivers.answered(roads.SIMULATION, Target(), jnp.array([[0.3]]))
    np.testing.assert_allclose(plain, [[0.3]])


def test_cars_that_are_put_elsewhere_forget_and_say_so():
    """Of three cars in four the drive ends with each step: then a memory is zeros, and of the 8
    sequences of 4 pictures little more than the first ones count."""
    task = roads.remembering(lifetime=4 / 3)
    state, step = jax.jit(task.init)(jax.random.key(0)), jax.jit(task.step)
    assert np.asarray(state.cars.new).all()
    seen = []
    for i in range(4):
        before = np.asarray(state.cars.new)
        state, sums = step(state, (), jax.random.key(i))
        assert 8 <= float(sums["loss"][1]) <= 16
        np.testing.assert_array_equal(state.visits.new[2 * i], before)
        forgot = (np.asarray(state.cars.recalled) == 0).all(-1)
        np.testing.assert_array_equal(forgot, state.cars.new)
        assert (np.asarray(state.cars.driven.time)[forgot] == 0).all()
        seen.append(forgot)
    assert 0.5 < np.mean(seen) < 0.97


def test_dagger_goes_on_bit_for_bit_in_its_middle(tmp_path):
    task = roads.remembering()
    place = parallel.place("none", num_seeds=2)
    advance = loop.advance(task, feed.empty(), place, 6)
    seeds = (0, 1)

    def after(run: loop.Run, steps: int) -> loop.Run:
        run = jax.tree.map(jnp.copy, run)
        return advance(run, advance.prepare(seeds, int(run.step), steps), steps)[0]

    start = loop.start(task, seeds, place)
    middle = after(start, 6)
    with Store(tmp_path) as store:
        store.save(6, middle, {})
    with Store(tmp_path) as store:
        found, _ = store.restore(loop.abstract_run(task, seeds, place))
    states = middle.states
    assert (states.step == 6).all() and (states.visits.x[:, :12] != 0).all()
    whole, resumed = after(middle, 6), after(found, 6)
    for a, b in zip(*(jax.tree.leaves(x.states) for x in (whole, resumed)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_route_is_a_lap_or_what_the_time_allows():
    driver = drivers.of_teacher(BLIND, teachers.pure_pursuit)

    def driven(settings, condition=None):
        return jax.jit(lambda i: closed_loop.drive(settings, driver, i, condition)[0])(0)

    track, _, _ = jax.jit(lambda: closed_loop.road(BLIND, 0))()
    whole, short = driven(BLIND), driven(BLIND._replace(limit=100))
    np.testing.assert_allclose(whole.route, track.length)
    np.testing.assert_allclose(short.route, 0.95 * 100 * 10.0 * 0.1)
    assert not whole.driving[-1] and not short.driving[-1]
    late = driven(BLIND._replace(limit=100), closed_loop.Condition(delay=3))
    np.testing.assert_allclose(late.steer[:3], 0, atol=1e-6)
    assert abs(short.steer[:3]).max() > 1e-3


def test_conditions_change_what_is_seen():
    clear = closed_loop.draw_scenery(jax.random.key(0))
    fog = closed_loop.CONDITIONS["fog"].seen(clear)
    assert fog.visibility == 12 and clear.visibility > 60 and fog.shift == clear.shift
    moved = closed_loop.CONDITIONS["camera moved"].seen(clear)
    np.testing.assert_allclose([moved.shift, moved.yaw], [0.3, 0.05])
    assert moved.visibility == clear.visibility
