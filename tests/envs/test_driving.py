"""The driving simulator: roads, motion, camera, teachers, against what hands can compute."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dljax.envs import named
from dljax.envs.driving import camera, dynamics, environment, teachers, tracks
from dljax.envs.driving.camera import View
from dljax.envs.driving.dynamics import Car, Vehicle
from dljax.envs.driving.environment import Settings

VEHICLE = Vehicle()
SMALL = View(24, 48)


def circle(radius=30.0, half_width=3.5):
    angle = 2 * np.pi * np.arange(24) / 24
    control = jnp.asarray(np.stack([np.cos(angle), np.sin(angle)], -1), jnp.float32)
    return jax.jit(tracks.from_control_points)(control, radius, half_width)


def car(x=0.0, y=0.0, heading=0.0, speed=8.0, steer=0.0):
    return Car(*(jnp.float32(v) for v in (x, y, heading, speed, 0.0, 0.0, steer)))


@pytest.fixture(scope="module")
def roads():
    return jax.jit(jax.vmap(tracks.draw))(jax.random.split(jax.random.key(0), 200))


def test_a_circle_stays_a_circle():
    track = circle()
    radius = np.linalg.norm(track.position, axis=-1)
    np.testing.assert_allclose(radius, radius.mean(), rtol=2e-3)
    np.testing.assert_allclose(1 / track.curvature, radius.mean(), rtol=0.02)
    np.testing.assert_allclose(track.length, 2 * np.pi * radius.mean(), rtol=2e-3)
    np.testing.assert_allclose(np.diff(track.heading), 2 * np.pi / tracks.POINTS, atol=1e-3)


def test_random_roads_are_closed_and_no_tighter_than_asked(roads):
    gaps = np.linalg.norm(np.roll(roads.position, -1, 1) - roads.position, axis=-1)
    np.testing.assert_allclose(gaps / np.asarray(roads.spacing)[:, None], 1, atol=0.02)
    tightest = 1 / np.abs(roads.curvature).max(1)
    ends = tracks.Roads().radius
    assert (tightest > ends[0] * 0.99).all() and (tightest < ends[1] * 1.1).all()
    turn = np.asarray(roads.curvature * roads.spacing[:, None]).sum(1)
    np.testing.assert_allclose(turn, 2 * np.pi, rtol=0.01)
    # The heading is that of the line.
    ahead = np.roll(roads.position, -1, 1) - np.roll(roads.position, 1, 1)
    error = np.arctan2(ahead[..., 1], ahead[..., 0]) - roads.heading
    assert np.abs(np.sin(error)).max() < 0.05
    assert len(np.unique(np.round(roads.length))) > 100  # they differ


def test_parts_of_a_road_do_not_touch(roads):
    position = np.asarray(roads.position)[:40, ::4]
    apart = np.linalg.norm(position[:, :, None] - position[:, None], axis=-1)
    steps = np.abs(np.subtract.outer(np.arange(100), np.arange(100)))
    far = np.minimum(steps, 100 - steps)[None] * 4 * np.asarray(roads.spacing)[:40, None, None] > 60
    nearest = np.where(far, apart, np.inf).min((1, 2))
    assert (nearest > 2 * np.asarray(roads.half_width)[:40]).all()


def test_the_other_direction(roads):
    track = jax.tree.map(lambda x: x[0], roads)
    back = tracks.reverse(track)
    np.testing.assert_allclose(back.position[0], track.position[0])
    np.testing.assert_allclose(back.position[1], track.position[-1])
    np.testing.assert_allclose(back.curvature[1], -track.curvature[-1])
    turn = back.heading[0] - track.heading[0]
    np.testing.assert_allclose([np.cos(turn), np.sin(turn)], [-1, 0], atol=1e-5)


@pytest.mark.parametrize("lateral", [-2.0, 0.0, 1.5])
def test_place_on_a_circle(lateral):
    track = circle(30.0)
    radius = float(np.linalg.norm(track.position[0]))
    angle = 1.234
    at = (radius - lateral) * np.array([np.cos(angle), np.sin(angle)])  # left is inwards
    begin = np.arctan2(track.position[0, 1], track.position[0, 0])
    place = tracks.place(track, *at)
    np.testing.assert_allclose(place.lateral, lateral, atol=0.02)
    along = (angle - begin) % (2 * np.pi) * radius
    np.testing.assert_allclose(place.along % track.length, along, atol=0.05)
    near = tracks.place_near(track, *at, place.index + 5)
    np.testing.assert_allclose(near.lateral, place.lateral, atol=1e-5)


def test_kinematic_car_drives_a_circle():
    steer, dt = 0.2, 0.05
    inner = VEHICLE.wheelbase / np.tan(steer)  # of the rear axle
    beta = np.arctan(VEHICLE.rear / inner)
    around = 2 * np.pi * inner / 8.0  # seconds
    steps = round(around / dt)

    @jax.jit
    def drive(start):
        def one(c, _):
            c = dynamics.kinematic(VEHICLE, c, jnp.float32(0), around / steps)
            return c, (c.x, c.y)

        return jax.lax.scan(one, start, None, length=steps)

    last, path = drive(car(steer=steer))
    np.testing.assert_allclose([last.x, last.y], 0, atol=0.05)
    # The centre of gravity goes around the same middle as the rear axle, on a larger circle.
    middle = np.array([-VEHICLE.rear, inner])
    distance = np.linalg.norm(np.stack(path, -1) - middle, axis=-1)
    np.testing.assert_allclose(distance, inner / np.cos(beta), rtol=2e-3)


def test_slipping_car_is_kinematic_when_slow_and_held_by_friction_when_fast():
    @partial(jax.jit, static_argnums=0)
    def after(move, start, seconds):
        def one(c, _):
            return move(VEHICLE, c, jnp.float32(0), seconds / 200), None

        return jax.lax.scan(one, start, None, length=200)[0]

    slow = car(speed=1.0, steer=0.1)
    both = [after(move, slow, 4.0) for move in (dynamics.kinematic, dynamics.dynamic)]
    np.testing.assert_allclose(both[0].yaw_rate, both[1].yaw_rate, rtol=0.02)
    np.testing.assert_allclose([both[0].x, both[0].y], [both[1].x, both[1].y], atol=0.05)


def test_friction_limits_the_sideways_acceleration():
    """At 25 m/s and full steering a rolling car would need ten times what the tyres can give."""
    dt = 0.01

    @jax.jit
    def drive(start):
        def one(c, _):
            c = dynamics.dynamic(VEHICLE, c, jnp.float32(0), dt)
            cos, sin = jnp.cos(c.heading), jnp.sin(c.heading)
            return c, (c.speed * cos - c.side_speed * sin, c.speed * sin + c.side_speed * cos)

        return jax.lax.scan(one, start, None, length=60)[1]

    velocity = np.stack(drive(car(speed=25.0, steer=0.3)), -1)
    # The steering's drag along the road is not modelled, so the speed ahead is constant.
    change = np.diff(velocity, axis=0) / dt
    aside = np.linalg.norm(change, axis=-1)
    limit = VEHICLE.friction * dynamics.GRAVITY
    assert 0.8 * limit < aside.max() and aside.max() < 25.0**2 * np.tan(0.3) / VEHICLE.wheelbase / 5


def test_steady_bend_has_rajamanis_yaw_rate():
    """Equation 2.56: the steady turn of the linear dynamic bicycle."""
    v, u, steer = VEHICLE, 10.0, 0.02
    under = v.mass / v.wheelbase * (v.rear / v.stiffness_front - v.front / v.stiffness_rear)
    want = u * steer / (v.wheelbase + under * u**2)
    last = jax.lax.fori_loop(
        0, 400, lambda _, c: dynamics.dynamic(v, c, jnp.float32(0), 0.01), car(speed=u, steer=steer)
    )
    np.testing.assert_allclose(last.yaw_rate, want, rtol=1e-3)


def test_wheels_turn_at_their_rate():
    turned = dynamics.turned(VEHICLE, car(), jnp.float32(9.0), 0.1)
    np.testing.assert_allclose(turned.steer, VEHICLE.steer_rate * 0.1)
    straight = dynamics.turned(VEHICLE, car(steer=0.44), jnp.float32(9.0), 0.1)
    np.testing.assert_allclose(straight.steer, VEHICLE.max_steer)


def scenery(**changes):
    plain = camera.draw_scenery(jax.random.key(3))
    zero = jnp.zeros(())
    fixed = dict(
        texture=zero, noise=zero, light=jnp.ones(()), visibility=jnp.float32(1e9),
        camera_height=jnp.float32(1.4), pitch=jnp.float32(0.1),
    )  # fmt: skip
    return plain._replace(**(fixed | {k: jnp.float32(x) for k, x in changes.items()}))


@pytest.mark.parametrize("changes", [{}, {"yaw": 0.1, "shift": 0.4, "pitch": 0.15}])
def test_ground_and_projection_are_inverse(changes):
    view, seen = View(), scenery(**changes)
    ahead, left, fall = camera.ground(view, seen, jnp.arange(view.width) + 0.5)
    row, column = camera.project(view, seen, ahead, left, jnp.zeros(()))
    want = np.mgrid[:64, :160] + 0.5
    below = np.asarray(fall) > 0.05
    np.testing.assert_allclose(np.asarray(row)[below], want[0][below], atol=0.02)
    np.testing.assert_allclose(np.asarray(column)[below], want[1][below], atol=0.02)


def test_projection_of_a_known_point():
    """Level camera 1.4 m high: a point 10 m ahead on the ground is f 1.4 / 10 below the middle."""
    view = View(64, 160, 2 * np.arctan(1.0))  # focal length 80 pixels
    row, column = camera.project(
        view, scenery(pitch=0.0), jnp.float32(10), jnp.float32(2), jnp.float32(0)
    )
    np.testing.assert_allclose([row, column], [32 + 80 * 0.14, 80 - 80 * 0.2], rtol=1e-5)


def test_picture_shows_line_road_and_grass_where_they_are():
    track, seen, view = circle(200.0), scenery(), View(128, 320)
    state = environment.put(Settings(view=view), track, seen, 0, 0.0, 0.0, jax.random.key(0))
    picture = np.asarray(jax.jit(partial(camera.render, view))(
        track, seen, state.car, state.place.index, jnp.uint32(0)
    ))  # fmt: skip
    half = float(track.half_width)

    def at(lateral, ahead=5.0):
        sag = ahead**2 / 2 / 200  # the road turns left
        row, column = camera.project(view, seen, jnp.float32(ahead), lateral + sag, jnp.float32(0))
        return picture[int(row), int(column)]

    for side in (-1, 1):
        np.testing.assert_allclose(at(side * (half - 2 * camera.LINE)), seen.line, atol=0.2)
        np.testing.assert_allclose(at(side * half / 2), seen.asphalt, atol=0.02)
        np.testing.assert_allclose(at(side * (half + 1.0)), seen.grass, atol=0.02)
    np.testing.assert_allclose(picture[0, 0], seen.sky, atol=1e-6)


def test_interpolated_distances_are_those_of_every_pixel(roads):
    view, seen = View(), scenery()

    def both(track, index):
        state = environment.put(Settings(), track, seen, index, 0.5, 0.1, jax.random.key(0))
        ahead, left, fall = camera.ground(view, seen, jnp.arange(view.width) + 0.5)
        exact, along = camera.on_road(track, state.car, index, ahead, left)
        quick = camera.beside(view, track, seen, state.car, index)
        pixel = seen.camera_height / jnp.maximum(fall, 1e-3) / view.focal
        near = (fall > 0.02) & (jnp.abs(exact) < 2 * track.half_width)
        return jnp.abs(jnp.stack(quick) - jnp.stack([jnp.abs(exact), along])), pixel, near

    error, pixel, near = jax.jit(jax.vmap(both))(roads, jnp.arange(200) * 2)
    error = np.asarray(error / pixel[:, None]).transpose(1, 0, 2, 3)[:, np.asarray(near)]
    # By the bend alone: 4 pixels of 1.05 m at the farthest, a radius of 15 m at the least.
    assert np.quantile(error[0], 0.999) < 4**2 * 1.05 / (8 * 15)
    assert np.quantile(error[1], 0.99) < 0.2


def test_another_car_is_drawn_where_it_stands():
    track, seen, view = circle(200.0), scenery(), View(128, 320)
    state = environment.put(Settings(view=view), track, seen, 0, 0.0, 0.0, jax.random.key(0))
    c = state.car
    there = jnp.array([[c.x + 12 * jnp.cos(c.heading), c.y + 12 * jnp.sin(c.heading), c.heading]])
    shoot = jax.jit(partial(camera.render, view))
    args = (track, seen, c, state.place.index, jnp.uint32(0))
    changed = np.abs(np.asarray(shoot(*args, there) - shoot(*args))).max(-1) > 0.01
    rows, columns = np.nonzero(changed)
    length, width, height = camera.BOX
    rear = 12 - length / 2
    low = camera.project(view, seen, jnp.float32(rear), jnp.float32(width / 2), jnp.float32(0))
    high = camera.project(
        view, seen, jnp.float32(rear), jnp.float32(-width / 2), jnp.float32(height)
    )
    np.testing.assert_allclose([rows.max() + 1, columns.min()], low, atol=1.1)
    np.testing.assert_allclose([rows.min(), columns.max() + 1], high, atol=1.1)


def driven(settings, teacher, key, steps):
    def one(state, _):
        steer = teacher(settings.vehicle, state.track, state.car, state.place)
        action = jnp.array([steer / settings.vehicle.max_steer])
        state, step = environment.step(settings, key, state, action)
        return state, (state.place.lateral, step.reward, step.terminated, step.truncated)

    return jax.lax.scan(one, environment.reset(settings, key)[0], None, length=steps)


@pytest.mark.parametrize("slip", [False, True])
@pytest.mark.parametrize("teacher", [teachers.pure_pursuit, teachers.stanley])
def test_teachers_stay_near_the_centre(teacher, slip):
    settings = Settings(view=None, slip=slip, delay=1, limit=300)
    run = jax.jit(jax.vmap(lambda key: driven(settings, teacher, key, 300)))
    last, (lateral, reward, terminated, truncated) = run(jax.random.split(jax.random.key(5), 16))
    assert not terminated.any() and truncated[:, -1].all() and not truncated[:, :-1].any()
    assert np.abs(lateral[:, 50:]).mean() < 0.3
    assert (last.progress > 0.9 * 300 * settings.dt * settings.speed).all()
    assert 0.85 < float(reward.mean()) <= 1.05


def test_the_weak_teacher_stays_on_the_road_but_farther_from_its_centre():
    settings = Settings(view=None, limit=300)
    keys, errors = jax.random.split(jax.random.key(5), 16), []
    for teacher in (teachers.proportional, teachers.pure_pursuit):
        run = jax.jit(jax.vmap(lambda key, t=teacher: driven(settings, t, key, 300)))
        _, (lateral, _, terminated, _) = run(keys)
        assert not terminated.any()
        errors.append(np.abs(lateral[:, 50:]).mean())
    assert errors[0] > 2 * errors[1]


def test_without_steering_the_car_leaves_the_road():
    settings = Settings(view=None)

    def straight(*_):
        return jnp.zeros(())

    _, (_, _, terminated, truncated) = jax.jit(lambda key: driven(settings, straight, key, 300))(
        jax.random.key(1)
    )
    assert terminated.any() and not truncated.any()


def test_steering_is_delayed_by_whole_steps():
    settings = Settings(view=None, delay=2)
    state, _ = environment.reset(settings, jax.random.key(0))
    steers = []
    for _ in range(4):
        state, _ = environment.step(settings, jax.random.key(0), state, jnp.array([1.0]))
        steers.append(float(state.car.steer))
    assert steers[:2] == [0, 0] and steers[2] > 0


def test_a_camera_is_dark_for_its_share_of_the_time_in_spells():
    state, picture = environment.reset(Settings(view=None), jax.random.key(0))[0], jnp.ones((2, 2))

    @jax.jit
    def seen(time):
        return environment.darkened(state._replace(time=time), picture, 0.3).min()

    light = np.asarray(jax.lax.map(seen, jnp.arange(400 * environment.SPELL)))
    spells = light.reshape(400, environment.SPELL)
    assert set(np.unique(light)) == {0, 1}
    assert (spells == spells[:, :1]).all()
    share = 1 - spells[:, 0].mean()
    assert abs(share - 0.3) < 4 * np.sqrt(0.3 * 0.7 / 400)


def test_a_pedal_reaches_a_speed_as_soon_as_it_can():
    settings = Settings(view=None, pedal=True, speed=20.0)
    fast, slow = car(speed=10.0), car(speed=5.0)
    # 3 m/s^2 and -6 m/s^2 in steps of 0.1 s: 0.3 and 0.6 m/s at the most.
    for start, wanted, expected in ((fast, 10.15, 0.5), (fast, 12.0, 1), (slow, 4.7, -0.5)):
        np.testing.assert_allclose(environment.pedal(settings, start, wanted), expected, rtol=1e-4)
    state, _ = environment.reset(settings, jax.random.key(0))
    assert float(state.car.speed) == 10
    answers = {(0.2, 0.5): 10, (0.2, 0.4): 9.4, (0.2,): 10.3}  # no speed said: as fast as can be
    for answer, speed in answers.items():
        action = environment.commanded(settings, state, jnp.array(answer))
        assert float(action[0]) == pytest.approx(0.2)
        after = environment.moved(settings, state, action).car.speed
        np.testing.assert_allclose(after, speed, rtol=1e-5)


def test_cruising_is_what_the_bends_ahead_allow():
    track = circle(30.0)
    place = tracks.place(track, *track.position[7])
    round_it = float(np.sqrt(4.0 / np.median(track.curvature)))
    np.testing.assert_allclose(teachers.cruising(track, place, 20.0), round_it, rtol=0.02)
    assert float(teachers.cruising(track, place, 5.0)) == 5
    # Straight but for one bend, 30 m ahead.
    bend = int(jnp.round((place.along + 30) / track.spacing))
    straight = track._replace(curvature=jnp.zeros(tracks.POINTS).at[bend].set(0.1))
    allowed = np.sqrt(4.0 / 0.1 + 2 * 3.0 * 30)
    np.testing.assert_allclose(teachers.cruising(straight, place, 20.0), allowed, rtol=1e-3)
    slower = teachers.cruising(straight, place, 20.0, brake=1.0)
    np.testing.assert_allclose(slower, np.sqrt(40 + 2 * 30), rtol=1e-3)


def test_pictures_are_observed_and_the_same_seed_gives_the_same():
    env = environment.make(Settings(view=SMALL, cars=2, pedal=True))
    reset, step = jax.jit(env.reset), jax.jit(env.step)
    state, obs = reset(jax.random.key(0))
    assert obs.shape == env.observation.shape and env.action.shape == (2,)
    assert float(obs.min()) >= 0 and float(obs.max()) <= 1 and float(obs.std()) > 0.02
    again = reset(jax.random.key(0))[1]
    np.testing.assert_array_equal(obs, again)
    assert float(np.abs(obs - reset(jax.random.key(1))[1]).max()) > 0.05
    slower, _ = step(jax.random.key(0), state, jnp.array([0.0, -1.0]))
    assert float(slower.car.speed) < float(state.car.speed)


def test_touching_another_car_ends_the_episode():
    settings = Settings(view=None, cars=1)
    state, _ = environment.reset(settings, jax.random.key(0))
    here = jnp.array([[state.car.x + 2.0, state.car.y, 0.0]])
    for others, ended in ((here, True), (here + 100, False)):
        _, step = environment.step(
            settings, jax.random.key(0), state._replace(others=others), jnp.zeros(1)
        )
        assert bool(step.terminated) is ended


def test_by_name_with_parameters_of_a_command_line():
    env = named.make("driving", height=16, width=32, limit=9, pedal=True)
    assert env.observation.shape == (16, 32, 3) and env.limit == 9 and env.action.shape == (2,)
    assert named.make("driving", camera=False).observation.shape == (11,)
    assert named.all_parameters("driving", speed=10)["speed"] == 10
    for wrong, message in (
        ({"sped": 1}, "no parameter 'sped'.*speed"),
        ({"slip": 1}, "slip is true or false"),
        ({"limit": 2.5}, "limit is a whole number"),
        ({"dt": 0.0}, "dt is 0.01 at the least"),
    ):
        with pytest.raises(ValueError, match=message):
            named.make("driving", **wrong)


def test_a_low_sun_dazzles_where_it_stands():
    view, seen = View(64, 160), scenery(pitch=0.0)
    dark = jnp.zeros((64, 160, 3))
    ahead = np.asarray(camera.dazzled(view, seen, car(heading=0.0), dark, 0.5))[..., 0]
    row, column = np.unravel_index(ahead.argmax(), ahead.shape)
    assert abs(row + 0.5 - (32 - view.focal * np.tan(0.1))) <= 0.5 and column in (79, 80)
    assert 0.49 < ahead.max() <= 0.5
    left = np.asarray(camera.dazzled(view, seen, car(heading=-0.5), dark, 0.5))[..., 0]
    assert abs(left.max(0).argmax() + 0.5 - (80 - view.focal * np.tan(0.5))) <= 0.5
    assert (camera.dazzled(view, seen, car(heading=np.pi), dark, 0.5) == 0).all()
