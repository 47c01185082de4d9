"""Closed roads: uniform cubic B-splines through random control points around a circle.

A B-spline has a continuous curvature, as roads are built. The road is scaled so that its tightest
bend has a given radius, and sampled at equal distances. Counter-clockwise; `reverse` turns it.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from dljax.envs.environment import Key

POINTS = 400  # of a centre line
CONTROL = 11  # control points
CANDIDATES = 8  # curves of which a track is the one of the most suitable length
FINE = 16  # points of the curve that are computed for each control point, before resampling


class Track(NamedTuple):
    """A centre line of POINTS points at equal distances; the last is followed by the first.

    position [P, 2] in m; heading [P] in rad, continuous along the line; curvature [P] in 1/m,
    positive to the left; spacing [] in m; half_width [] in m, from the centre to the edge.
    """

    position: Array
    heading: Array
    curvature: Array
    spacing: Array
    half_width: Array

    @property
    def length(self) -> Array:
        """Of the centre line, in m."""
        return self.spacing * POINTS


class Roads(NamedTuple):
    """What tracks are drawn from: ranges (lowest, highest) of uniform numbers.

    radius: of the tightest bend, m. half_width: m. waviness: of the distances of the control points
    from the middle, as a share of their mean. length: of the centre line, m; approximate, since the
    tightest bend sets the scale.
    """

    radius: tuple[float, float] = (15.0, 25.0)
    half_width: tuple[float, float] = (3.0, 4.0)
    waviness: tuple[float, float] = (0.2, 0.6)
    length: tuple[float, float] = (300.0, 800.0)


def draw(key: Key, roads: Roads = Roads()) -> Track:  # noqa: B008
    """A random track, whose first point is at a random place of it."""
    whole_key, shape_key = jax.random.split(key)
    # Few calls: many of them compile for seconds.
    drawn = jax.random.uniform(whole_key, (4,))
    shapes = jax.random.uniform(shape_key, (CANDIDATES, 1 + 2 * CONTROL))
    radius, half_width = _between(drawn[0], roads.radius), _between(drawn[1], roads.half_width)

    def candidate(shape: Array) -> Track:
        waviness = _between(shape[0], roads.waviness)
        distance = 1 + waviness * _between(shape[1 : 1 + CONTROL], (-1.0, 1.0))
        shifts = _between(shape[1 + CONTROL :], (-0.3, 0.3))
        angle = 2 * np.pi * (jnp.arange(CONTROL) + shifts) / CONTROL
        control = distance[:, None] * jnp.stack([jnp.cos(angle), jnp.sin(angle)], -1)
        return from_control_points(control, radius, half_width)

    tracks = jax.vmap(candidate)(shapes)
    best = jnp.argmin(jnp.abs(tracks.length - _between(drawn[2], roads.length)))
    track = jax.tree.map(lambda x: x[best], tracks)
    return rolled(track, (drawn[3] * POINTS).astype(jnp.int32))


def _between(share: Array, ends: tuple[float, float]) -> Array:
    return ends[0] + (ends[1] - ends[0]) * share


def from_control_points(control: Array, radius: Array | float, half_width: Array | float) -> Track:
    """The closed uniform cubic B-spline of control points [K, 2], scaled to its tightest bend.

    radius: of that bend, m. half_width: m.
    """
    t = (np.arange(FINE) / FINE)[:, None]
    ones = np.ones_like(t)
    basis = np.concatenate(
        [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], 1
    ) / 6  # de Boor's, of four neighbouring control points  # fmt: skip
    slope = np.concatenate(
        [-((1 - t) ** 2), 3 * t**2 - 4 * t, -3 * t**2 + 2 * t + ones, t**2], 1
    ) / 2  # fmt: skip
    bend = np.concatenate([1 - t, 3 * t - 2, -3 * t + 1, t], 1)
    near = jnp.stack([jnp.roll(control, 1 - i, axis=0) for i in range(4)], 1)  # [K, 4, 2]
    p, v, a = (jnp.einsum("fi,kid->kfd", m, near).reshape(-1, 2) for m in (basis, slope, bend))
    speed = jnp.hypot(v[:, 0], v[:, 1])
    curvature = (v[:, 0] * a[:, 1] - v[:, 1] * a[:, 0]) / speed**3
    scale = radius * jnp.abs(curvature).max()
    # Equal distances: the arc length up to each point, and the curve at equal parts of it.
    step = jnp.hypot(*(jnp.roll(p, -1, axis=0) - p).T)
    arc = jnp.concatenate([jnp.zeros(1), jnp.cumsum(step)])
    at = jnp.arange(POINTS) * arc[-1] / POINTS
    heading = jnp.unwrap(jnp.arctan2(v[:, 1], v[:, 0]))

    def resampled(x: Array, turn: float = 0.0) -> Array:
        return jnp.interp(at, arc, jnp.append(x, x[0] + turn))

    position = jnp.stack([resampled(p[:, 0]), resampled(p[:, 1])], -1) * scale
    whole = 2 * np.pi * jnp.sign(heading[-1] - heading[0])
    return Track(
        position,
        resampled(heading, whole),
        resampled(curvature) / scale,
        arc[-1] * scale / POINTS,
        jnp.asarray(half_width, jnp.float32),
    )


def rolled(track: Track, first: Array | int) -> Track:
    """The same track, beginning at its point `first`."""
    position, heading, curvature = (
        jnp.roll(x, -first, axis=0) for x in (track.position, track.heading, track.curvature)
    )
    return track._replace(position=position, heading=jnp.unwrap(heading), curvature=curvature)


def reverse(track: Track) -> Track:
    """The same road in the other direction, from the same point."""
    position, heading, curvature = (
        jnp.roll(x[::-1], 1, axis=0) for x in (track.position, track.heading, track.curvature)
    )
    return track._replace(
        position=position, heading=jnp.unwrap(heading + np.pi), curvature=-curvature
    )


class Place(NamedTuple):
    """Where a point lies on a track.

    index int32: of the nearest point of the centre line. along: m on the centre line from the
    track's first point. lateral: m to the left of it. heading, curvature: of the centre line there.
    """

    index: Array
    along: Array
    lateral: Array
    heading: Array
    curvature: Array


def place(track: Track, x: Array, y: Array) -> Place:
    """The nearest place on the track of a point, in m."""
    offset = jnp.stack([x, y]) - track.position
    index = jnp.argmin((offset**2).sum(-1))
    return _at(track, index, offset[index])


def place_near(track: Track, x: Array, y: Array, index: Array, reach: int = 8) -> Place:
    """As `place`, among the points within `reach` of point `index`: of a car that was there."""
    around = (index + jnp.arange(-reach, reach + 1)) % POINTS
    offset = jnp.stack([x, y]) - track.position[around]
    best = jnp.argmin((offset**2).sum(-1))
    return _at(track, around[best], offset[best])


def _at(track: Track, index: Array, offset: Array) -> Place:
    """The place of a point at an offset [2] from the centre line's point `index`.

    The line there is an arc: its heading turns with the distance along it.
    """
    heading, curvature = track.heading[index], track.curvature[index]
    along = jnp.cos(heading) * offset[0] + jnp.sin(heading) * offset[1]
    aside = jnp.cos(heading) * offset[1] - jnp.sin(heading) * offset[0]
    along = along / (1 - curvature * aside)
    lateral = aside - curvature * along**2 / 2
    return Place(
        index, index * track.spacing + along, lateral, heading + curvature * along, curvature
    )
