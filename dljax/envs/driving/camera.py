"""What the driver sees: pictures by casting a ray through each pixel onto the ground plane.

A pinhole camera; sky above the horizon, below it grass, road, edge lines and a dashed line in the
middle, boxes for other cars, haze that thickens with distance. All colours are float32 in 0..1.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from dljax.envs.driving.dynamics import Car
from dljax.envs.driving.tracks import POINTS, Track
from dljax.envs.environment import Key

COARSE = 4  # pixels between the rays whose distance from the road is computed
BEHIND, AHEAD = 2, 46  # points of the centre line around the car that are looked at
LINE, DASH = 0.15, 3.0  # width of a line and length of a dash (and of its gap), m
BOX = (4.4, 1.8, 1.5)  # length, width and height of another car, m


class View(NamedTuple):
    """Size of the picture in pixels, and the camera's horizontal field of view in rad."""

    height: int = 64
    width: int = 160
    field: float = 1.75

    @property
    def focal(self) -> float:
        """Focal length, pixels."""
        return self.width / 2 / np.tan(self.field / 2)


class Scenery(NamedTuple):
    """How a track looks, and how the camera is mounted on the car.

    grass, asphalt, line, sky: RGB [3]. texture: amplitude of the ground's spots. light: factor of
    all colours. visibility: distance in m at which haze leaves 1/e. noise: amplitude of the
    sensor's noise. camera_height: m; pitch: rad downwards; yaw: rad to the left; shift: m to the
    left of the car's middle.
    """

    grass: Array
    asphalt: Array
    line: Array
    sky: Array
    texture: Array
    light: Array
    visibility: Array
    noise: Array
    camera_height: Array
    pitch: Array
    yaw: Array
    shift: Array


def draw_scenery(key: Key) -> Scenery:
    """Random colours, light, haze and mounting: domain randomisation (Tobin et al. 2017)."""
    drawn = iter(jax.random.uniform(key, (19,)))  # one call: many of them compile for seconds

    def one(low: float, high: float) -> Array:
        return low + (high - low) * next(drawn)

    def colour(mean: tuple[float, float, float], spread: float) -> Array:
        shift = jnp.stack([one(-spread, spread) for _ in range(3)])
        return jnp.clip(jnp.asarray(mean) + shift, 0, 1)

    grey = one(0.25, 0.5)
    return Scenery(
        grass=colour((0.35, 0.45, 0.2), 0.15),
        asphalt=grey + colour((0.1, 0.1, 0.1), 0.04) - 0.1,
        line=colour((0.9, 0.9, 0.8), 0.1),
        sky=colour((0.6, 0.75, 0.9), 0.15),
        texture=one(0.02, 0.12),
        light=one(0.6, 1.1),
        visibility=jnp.exp(one(np.log(60.0), np.log(600.0))),
        noise=one(0.0, 0.04),
        camera_height=one(1.2, 1.6),
        pitch=one(0.06, 0.14),
        yaw=jnp.zeros(()),
        shift=jnp.zeros(()),
    )


def ground(view: View, scenery: Scenery, columns: Array) -> tuple[Array, Array, Array]:
    """Where the rays through each row's middle and `columns` [W] (pixels) meet the ground.

    [H, W]: ahead and left in the car's frame, in m. Both are meaningless where the third result,
    the ray's fall per metre of its length along the camera's axis, is not positive: above the
    horizon.
    """
    rows = (jnp.arange(view.height) + 0.5 - view.height / 2)[:, None] / view.focal
    columns = (columns - view.width / 2)[None, :] / view.focal
    fall = jnp.sin(scenery.pitch) + rows * jnp.cos(scenery.pitch)
    fall = jnp.broadcast_to(fall, (view.height, columns.shape[1]))
    far = scenery.camera_height / jnp.maximum(fall, 1e-3)
    forward = far * (jnp.cos(scenery.pitch) - rows * jnp.sin(scenery.pitch))
    left = -far * columns
    cos, sin = jnp.cos(scenery.yaw), jnp.sin(scenery.yaw)
    return cos * forward - sin * left, sin * forward + cos * left + scenery.shift, fall


def project(view: View, scenery: Scenery, ahead: Array, left: Array, up: Array) -> tuple:
    """(row, column), in pixels from the upper left corner, of a point in the car's frame, in m."""
    cos, sin = jnp.cos(scenery.yaw), jnp.sin(scenery.yaw)
    left = left - scenery.shift
    forward, left = cos * ahead + sin * left, cos * left - sin * ahead
    down = scenery.camera_height - up
    cos, sin = jnp.cos(scenery.pitch), jnp.sin(scenery.pitch)
    depth, low = cos * forward + sin * down, cos * down - sin * forward
    return (
        view.height / 2 + view.focal * low / depth,
        view.width / 2 - view.focal * left / depth,
    )


def on_road(track: Track, car: Car, index: Array, ahead: Array, left: Array) -> tuple:
    """(lateral, along) in m on the road near the car, of points in the car's frame [...].

    index: of the centre line's point next to the car. Far from the road lateral is a lower bound.
    """
    around = (index + jnp.arange(-BEHIND, AHEAD)) % POINTS
    cos, sin = jnp.cos(car.heading), jnp.sin(car.heading)
    offset = track.position[around] - jnp.stack([car.x, car.y])
    x, y = cos * offset[:, 0] + sin * offset[:, 1], cos * offset[:, 1] - sin * offset[:, 0]
    heading = track.heading[around] - car.heading
    points = jnp.stack([x, y, jnp.cos(heading), jnp.sin(heading)], -1)
    along = (index - BEHIND + jnp.arange(BEHIND + AHEAD)) * track.spacing

    def nearer(best, point):
        (x, y, cos, sin), s = point
        u, v = ahead - x, left - y
        square = u * u + v * v
        near = square < best[0]
        return (
            jnp.where(near, square, best[0]),
            jnp.where(near, cos * v - sin * u, best[1]),
            jnp.where(near, s + cos * u + sin * v, best[2]),
        ), None

    first = (jnp.full_like(ahead, jnp.inf), jnp.zeros_like(ahead), jnp.zeros_like(ahead))
    (square, lateral, along), _ = jax.lax.scan(nearer, first, (points, along), unroll=4)
    # Beyond the ends of the piece that is looked at there is no road.
    outside = square > lateral**2 + (2 * track.spacing) ** 2
    return jnp.where(outside, jnp.sqrt(square), lateral), along


def render(
    view: View,
    track: Track,
    scenery: Scenery,
    car: Car,
    index: Array,
    noise: Array,
    others: Array | None = None,
) -> Array:
    """The picture [H, W, 3] from a car, next to point `index` of its track.

    noise: uint32 seed of the sensor's noise. others: x, y, heading [N, 3] of other cars.
    """
    ahead, left, fall = ground(view, scenery, jnp.arange(view.width) + 0.5)
    aside, along = beside(view, track, scenery, car, index)
    distance = jnp.sqrt(ahead**2 + left**2)
    pixel = scenery.camera_height / jnp.maximum(fall, 1e-3) / view.focal  # its width on the ground

    def inside(margin: Array) -> Array:
        """The part of a pixel that lies inside, by the distance to the border in m."""
        return jnp.clip(margin / pixel + 0.5, 0, 1)

    cos, sin = jnp.cos(car.heading), jnp.sin(car.heading)
    spots = _spots(car.x + cos * ahead - sin * left, car.y + sin * ahead + cos * left)
    spots = scenery.texture * spots * jnp.minimum(1.0, 0.3 / pixel)
    dashes = along / (2 * DASH)
    dashed = inside(LINE / 2 - aside) * (dashes - jnp.floor(dashes) < 0.5)
    edge = inside(LINE / 2 - jnp.abs(aside - track.half_width + 2 * LINE))
    paint = jnp.maximum(dashed, edge)
    road = inside(track.half_width - aside)
    # Each pixel is a mixture: its shares of the colours, and the spots' brightness.
    seen = jnp.where(fall > 1e-3, jnp.exp(-distance / scenery.visibility), 0.0)
    line, bare = seen * paint, seen * (1 - paint)
    shares = (bare * (1 - road), bare * road, line, 1 - seen)
    colours = (scenery.grass, scenery.asphalt, scenery.line, scenery.sky)
    spots = spots * bare * (1 - 0.7 * road)
    picture = spots[..., None] + sum(
        share[..., None] * colour for share, colour in zip(shares, colours, strict=True)
    )
    if others is not None:
        picture = _boxes(view, scenery, car, others, picture)
    grain = _hash(noise, view.height * view.width).reshape(view.height, view.width, 1)
    return jnp.clip(scenery.light * picture + scenery.noise * grain, 0, 1)


def beside(view: View, track: Track, scenery: Scenery, car: Car, index: Array) -> tuple:
    """Distance from the centre line and way along it, in m, of all pixels [H, W], by `on_road`.

    Computed for every COARSE-th ray of a row and interpolated: a row's rays meet the ground on a
    straight line, on which the distance to the left is linear but for the road's bend (p pixels
    apart, each w metres, in a bend of radius r, the error is p^2 w / (8 r) pixels). Where two
    pieces of road are equally near, its sign changes without a centre line between, so that the
    distance itself is interpolated wherever both rays are too far from the line to have it between.
    """
    blocks = -(-view.width // COARSE)
    ahead, left, fall = ground(view, scenery, COARSE * jnp.arange(blocks + 1.0))
    lateral, along = on_road(track, car, index, ahead, left)
    at = (np.arange(view.width) + 0.5) / COARSE
    weights = np.maximum(0, 1 - np.abs(at - np.arange(blocks + 1)[:, None])).astype(np.float32)
    across, distance, along = (
        jnp.matmul(x, weights, precision="highest") for x in (lateral, jnp.abs(lateral), along)
    )
    way = COARSE / view.focal * scenery.camera_height / jnp.maximum(fall[:, :1], 1e-3)
    return jnp.where(distance > way, distance, jnp.abs(across)), along


def dazzled(
    view: View, scenery: Scenery, car: Car, picture: Array, strength: float | Array
) -> Array:
    """The picture [H, W, 3] with a low sun in the direction of x: a spot and its halo, brighter
    by up to `strength`."""
    angle = -car.heading - scenery.yaw  # to the left of the camera's axis
    row = view.height / 2 - view.focal * jnp.tan(0.1 + scenery.pitch)  # 6 degrees high
    column = view.width / 2 - view.focal * jnp.tan(angle)
    down = jnp.arange(view.height)[:, None] + 0.5 - row
    right = jnp.arange(view.width)[None, :] + 0.5 - column
    near = jnp.exp(-(down**2 + right**2) / (2 * (view.width / 5) ** 2))
    near = jnp.where(jnp.cos(angle) > 0.1, near, 0.0)
    return jnp.clip(picture + strength * near[..., None], 0, 1)


def _spots(x: Array, y: Array) -> Array:
    """A pattern of the ground in -1..1 of places in m, the same wherever it is seen from."""
    coarse = _wave(0.21 * x + 0.33 * _wave(0.11 * y)) * _wave(0.17 * y + 0.27 * _wave(0.14 * x))
    return (coarse + _wave(0.59 * x + 0.3 * _wave(0.37 * y)) * _wave(0.65 * y)) / 2


def _wave(x: Array) -> Array:
    """Nearly sin(2 pi x), of parabolas."""
    x = x - jnp.round(x)
    return 8 * x * (1 - 2 * jnp.abs(x))


def _hash(seed: Array, count: int) -> Array:
    """Uniform numbers [count] in -1..1, by a mixing of bits (cheaper than jax.random)."""
    x = jnp.arange(count, dtype=jnp.uint32) * jnp.uint32(0x9E3779B1) ^ seed
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        x = (x ^ (x >> shift)) * jnp.uint32(factor)
    return (x ^ (x >> 16)).astype(jnp.float32) / 2.0**31 - 1


def _boxes(view: View, scenery: Scenery, car: Car, others: Array, picture: Array) -> Array:
    """Draws boxes over the picture, the farthest first; each pixel by the slab method."""
    rows = (jnp.arange(view.height) + 0.5 - view.height / 2)[:, None] / view.focal
    columns = (jnp.arange(view.width) + 0.5 - view.width / 2)[None, :] / view.focal
    cos, sin = jnp.cos(scenery.pitch), jnp.sin(scenery.pitch)
    ahead, left = cos - rows * sin, -columns
    down = jnp.broadcast_to(sin + rows * cos, picture.shape[:2])
    turn = car.heading + scenery.yaw
    ray = (
        jnp.cos(turn) * ahead - jnp.sin(turn) * left,
        jnp.sin(turn) * ahead + jnp.cos(turn) * left,
    )
    eye_x = car.x - jnp.sin(car.heading) * scenery.shift
    eye_y = car.y + jnp.cos(car.heading) * scenery.shift
    order = jnp.argsort(-((others[:, 0] - eye_x) ** 2 + (others[:, 1] - eye_y) ** 2))

    def draw(picture: Array, other: Array) -> tuple[Array, None]:
        cos, sin = jnp.cos(other[2]), jnp.sin(other[2])
        dx, dy = eye_x - other[0], eye_y - other[1]
        origin = (cos * dx + sin * dy, cos * dy - sin * dx, scenery.camera_height - BOX[2] / 2)
        direction = (cos * ray[0] + sin * ray[1], cos * ray[1] - sin * ray[0], -down)
        enter, leave = -jnp.inf, jnp.inf
        for o, d, size in zip(origin, direction, BOX, strict=True):
            d = jnp.where(jnp.abs(d) < 1e-6, 1e-6, d)
            a, b = (-size / 2 - o) / d, (size / 2 - o) / d
            enter, leave = (
                jnp.maximum(enter, jnp.minimum(a, b)),
                jnp.minimum(leave, jnp.maximum(a, b)),
            )
        hit = (enter < leave) & (enter > 0)
        body = (
            jnp.array([0.55, 0.12, 0.1])
            * jnp.where(direction[2] * enter > -0.4, 1.0, 0.7)[..., None]
        )
        haze = jnp.exp(-enter / scenery.visibility)[..., None]
        return jnp.where(hit[..., None], scenery.sky + haze * (body - scenery.sky), picture), None

    return jax.lax.scan(draw, picture, others[order])[0]
