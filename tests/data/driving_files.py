"""Recordings of drives for the tests, seen by the camera of the simulator."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from dljax.envs.driving import camera, environment, teachers, tracks
from dljax.envs.driving.camera import View
from dljax.envs.driving.environment import Settings

VIEW = View(20, 48)
LONGEST = 150  # stamps


@functools.cache
def drive(seed=0, side=0.0):
    """Pictures uint8 [LONGEST, H, W, 3] along a road, `side` m left of the car's middle, and the
    teacher's steering [LONGEST], -1 to 1, positive to the right as Udacity has it."""
    pictures, steer = _rendered(jax.random.key(seed), jnp.float32(side))
    return np.asarray(jnp.round(255 * pictures)).astype(np.uint8), np.asarray(steer)


@jax.jit
def _rendered(key, side):
    settings = Settings(view=VIEW)
    track_key, scene_key, key = jax.random.split(key, 3)
    track = tracks.draw(track_key, settings.roads)
    scenery = camera.draw_scenery(scene_key)._replace(shift=side, noise=jnp.zeros(()))
    phase = 0.7 * jnp.arange(LONGEST)

    def one(index, lateral, turn):
        state = environment.put(settings, track, scenery, index, lateral, turn, key)
        steer = teachers.pure_pursuit(settings.vehicle, track, state.car, state.place)
        return environment.observed(settings, state), -steer / settings.vehicle.max_steer

    places = 3 * jnp.arange(LONGEST), 1.2 * jnp.sin(phase), 0.15 * jnp.cos(1.7 * phase)
    return jax.vmap(one)(*places)


def write_pictures(folder, pictures, names):
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in zip(names, pictures, strict=True):
        Image.fromarray(picture).save(folder / name)


def udacity(folder, count=60, seed=0, root="IMG/", comma=",", header=False, sides=True):
    """A recording as Udacity's simulator writes it: ten stamps a second. Returns the steering."""
    pictures, steer = (x[:count] for x in drive(seed))
    lines = ["center,left,right,steering,throttle,brake,speed"] if header else []
    stamps = [f"2020_05_09_22_16_{i // 10:02d}_{100 * (i % 10):03d}" for i in range(count)]
    cameras = {"center": pictures}
    if sides:
        cameras |= {"left": drive(seed, 1.0)[0][:count], "right": drive(seed, -1.0)[0][:count]}
    for camera_, shown in cameras.items():
        write_pictures(folder / "IMG", shown, [f"{camera_}_{x}.png" for x in stamps])
    for stamp, angle in zip(stamps, steer, strict=True):
        names = [f"{root}{camera_}_{stamp}.png" for camera_ in ("center", "left", "right")]
        lines.append(comma.join([*names, f"{angle:.6f}", "0.5", "0", "20.1"]))
    (folder / "driving_log.csv").write_text("\n".join(lines) + "\n")
    return steer


def plain(folder, rows, header, names=None):
    """A folder of grey frames and a CSV beside them; rows: lines of the CSV."""
    names = names or [f"{i}.png" for i in range(len(rows))]
    shades = np.arange(len(names), dtype=np.uint8)[:, None, None, None]
    write_pictures(folder, np.broadcast_to(shades, (len(names), 4, 6, 3)), names)
    (folder / "log.csv").write_text("\n".join([header, *rows]) + "\n")
