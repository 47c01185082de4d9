"""Motion of a car: the kinematic bicycle, and one whose tyres slip.

Both are of Rajamani, Vehicle Dynamics and Control (2nd edition, 2012), section 2.2 (kinematic) and
2.3 (dynamic, in the body's frame), with the side force of each axle limited by friction. The
front wheel turns towards its command at a limited rate, after a delay of whole steps.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

GRAVITY = 9.81  # m/s^2


class Vehicle(NamedTuple):
    """A middle-sized car.

    front, rear: distances of the axles from the centre of gravity, m. mass: kg. inertia: about the
    vertical, kg m^2. stiffness_front, stiffness_rear: side force per slip angle of both tyres of an
    axle, N/rad. friction: largest force as a share of the load. max_steer: rad; steer_rate: rad/s.
    max_acceleration, max_braking: m/s^2; top_speed: m/s.
    """

    front: float = 1.2
    rear: float = 1.4
    mass: float = 1500.0
    inertia: float = 2500.0
    stiffness_front: float = 90e3
    stiffness_rear: float = 110e3
    friction: float = 0.9
    max_steer: float = 0.45
    steer_rate: float = 1.0
    max_acceleration: float = 3.0
    max_braking: float = 6.0
    top_speed: float = 30.0

    @property
    def wheelbase(self) -> float:
        """Distance of the axles, m."""
        return self.front + self.rear


class Car(NamedTuple):
    """A car's centre of gravity x, y in m and heading in rad; speed ahead and to the left in m/s;
    yaw_rate in rad/s; steer, the angle of its front wheels, in rad. Left is positive."""

    x: Array
    y: Array
    heading: Array
    speed: Array
    side_speed: Array
    yaw_rate: Array
    steer: Array


def turned(vehicle: Vehicle, car: Car, command: Array, dt: float) -> Car:
    """The front wheels after dt seconds of turning towards a command in rad."""
    command = jnp.clip(command, -vehicle.max_steer, vehicle.max_steer)
    most = vehicle.steer_rate * dt
    return car._replace(steer=car.steer + jnp.clip(command - car.steer, -most, most))


def kinematic(vehicle: Vehicle, car: Car, acceleration: Array, dt: float) -> Car:
    """The car after dt seconds: its wheels roll where they point (Rajamani, equations 2.10-2.12).

    `speed` is that of the centre of gravity along the body; `side_speed` follows from the slip
    angle of the centre, `yaw_rate` from the bend.
    """
    share = vehicle.rear / vehicle.wheelbase * jnp.tan(car.steer)  # tan(beta)
    speed = jnp.clip(car.speed + acceleration * dt, 0.0, vehicle.top_speed)
    mean = (car.speed + speed) / 2
    yaw_rate = mean * jnp.tan(car.steer) / vehicle.wheelbase
    return _moved(car, speed, speed * share, yaw_rate, mean, mean * share, dt)


def dynamic(vehicle: Vehicle, car: Car, acceleration: Array, dt: float) -> Car:
    """The car after dt seconds, pushed aside by the slip of its tyres (Rajamani, section 2.3).

    Semi-implicit in the side speed and the yaw rate, hence stable at low speeds too, where it
    approaches the kinematic car. Forces beyond friction are cut.
    """
    v = vehicle
    u = jnp.maximum(car.speed, 0.5)
    load_front, load_rear = (v.mass * GRAVITY * a / v.wheelbase for a in (v.rear, v.front))
    slip_front = car.steer - (car.side_speed + v.front * car.yaw_rate) / u
    slip_rear = -(car.side_speed - v.rear * car.yaw_rate) / u
    # Stiffnesses that give the cut force at this slip.
    front, rear = (
        jnp.minimum(c, v.friction * load / jnp.maximum(jnp.abs(slip), 1e-6))
        for c, load, slip in (
            (v.stiffness_front, load_front, slip_front),
            (v.stiffness_rear, load_rear, slip_rear),
        )
    )
    # (1 - dt A) [side_speed, yaw_rate]' = [side_speed, yaw_rate] + dt b
    a11, a12 = -(front + rear) / (v.mass * u), -(v.front * front - v.rear * rear) / (v.mass * u) - u
    a21 = -(v.front * front - v.rear * rear) / (v.inertia * u)
    a22 = -(v.front**2 * front + v.rear**2 * rear) / (v.inertia * u)
    r1 = car.side_speed + dt * front * car.steer / v.mass
    r2 = car.yaw_rate + dt * v.front * front * car.steer / v.inertia
    m11, m12, m21, m22 = 1 - dt * a11, -dt * a12, -dt * a21, 1 - dt * a22
    determinant = m11 * m22 - m12 * m21
    side_speed = (m22 * r1 - m12 * r2) / determinant
    yaw_rate = (m11 * r2 - m21 * r1) / determinant
    speed = jnp.clip(car.speed + acceleration * dt, 0.0, vehicle.top_speed)
    mean_side = (car.side_speed + side_speed) / 2
    return _moved(car, speed, side_speed, yaw_rate, (car.speed + speed) / 2, mean_side, dt)


def _moved(car: Car, speed, side_speed, yaw_rate, ahead, aside, dt: float) -> Car:
    """The car moved for dt seconds at mean speeds ahead and aside, by its heading half way."""
    heading = car.heading + yaw_rate * dt / 2
    cos, sin = jnp.cos(heading), jnp.sin(heading)
    return car._replace(
        x=car.x + dt * (ahead * cos - aside * sin),
        y=car.y + dt * (ahead * sin + aside * cos),
        heading=car.heading + yaw_rate * dt,
        speed=speed,
        side_speed=side_speed,
        yaw_rate=yaw_rate,
    )
