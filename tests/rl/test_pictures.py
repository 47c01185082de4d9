"""Episodes as GIFs and curves of returns: drawn from known states, and different where they are."""

import types

import numpy as np
import pytest
from PIL import Image

from dljax.plots import rl, values

STATES = {
    "CartPole-v1": {"x": [-1.0, 1.0], "theta": [0.0, 0.2]},
    "Pendulum-v1": {"theta": [0.0, 2.0]},
    "Acrobot-v1": {"joint_angle1": [0.0, 1.0], "joint_angle2": [0.5, 1.0]},
    "MountainCar-v0": {"position": [-0.5, 0.4]},
}


def film(tmp_path, name, states, obs):
    rl.episode(name, states, obs, np.array([1.0, -0.5]), tmp_path / "episode.gif")
    with Image.open(tmp_path / "episode.gif") as frames:
        assert frames.n_frames == 2 and frames.size == rl.SIZE
        return [np.asarray((frames.seek(i), frames.convert("RGB"))[1], int) for i in range(2)]


@pytest.mark.parametrize("name", STATES)
def test_known_environments_are_drawn_from_their_state(name, tmp_path):
    states = {k: np.array(v) for k, v in STATES[name].items()}
    wrapped = types.SimpleNamespace(inner=types.SimpleNamespace(**states))
    first, second = film(tmp_path, name, wrapped, np.zeros((2, 1)))
    assert (abs(first - second)[20:].sum(-1) > 60).sum() > 200  # below the words
    assert (first < 200).any(-1).sum() > 300


def test_pictures_and_numbers_are_drawn_from_the_observation(tmp_path):
    cells = np.zeros((2, 10, 10, 4))
    cells[0, 0, 0, 1] = cells[1, 9, 9, 2] = 1
    first, second = film(tmp_path, "Breakout-MinAtar", None, cells)
    orange, green = [0xE0, 0x7B, 0x1A], [0x2C, 0x8F, 0x4A]
    left = (rl.SIZE[0] - (rl.SIZE[1] - 20)) // 2
    np.testing.assert_allclose(first[25, left + 5], orange, atol=12)
    np.testing.assert_allclose(second[-10, -left - 5], green, atol=12)
    first, second = film(tmp_path, "Other", None, np.array([[1.0, -1.0, 0.5], [0.0, 1.0, 0.0]]))
    assert (abs(first - second).sum(-1) > 60).sum() > 200


def test_curves_of_returns(tmp_path):
    values = np.array([[10.0, 20.0, np.nan], [100.0, 140.0, np.nan]])
    rl.returns(np.array([100, 200]), [1.0, 2.0], values, tmp_path / "returns.png", "CartPole-v1")
    with Image.open(tmp_path / "returns.png") as image:
        pixels = np.asarray(image.convert("RGB"), int)
    assert (abs(pixels - [0x1F, 0x6F, 0xB4]).sum(-1) < 60).sum() > 100


def test_maps_of_a_plane(tmp_path):
    """Low values on the left and high ones on the right, the way from below to above."""
    car = values.PLANES["MountainCar-v0"]
    value = np.tile(np.arange(5.0), (4, 1))
    way = np.array([[-1.0, -0.05], [0.4, 0.05]])
    values.plane(car, value, (value > 2).astype(int), way, tmp_path / "values.png", "Car")
    with Image.open(tmp_path / "values.png") as image:
        pixels = np.asarray(image.convert("RGB"), int)
    left, right = pixels[:, : pixels.shape[1] // 2], pixels[:, pixels.shape[1] // 2 :]
    purple, yellow = (
        (abs(left - c).sum(-1) < 30).nonzero()[1] for c in ([68, 1, 84], [253, 231, 37])
    )
    assert len(purple) > 500 and len(yellow) > 500 and np.median(purple) < np.median(yellow)
    for colour in values.ACTIONS[:2]:
        rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        assert (abs(right - rgb).sum(-1) < 20).sum() > 1000


def test_maps_of_cells(tmp_path):
    """Three cells of a 2 x 2 grid, the fourth is a wall; a move that goes nowhere is a dot."""
    place, end, none = np.array([[0, 0], [0, 1]]), np.array([[1, 1]]), np.zeros((0, 2), int)
    right = values.Cells(np.array([0.0, 1.0]), np.array([[0, 1], [1, 0]]))
    still = values.Cells(np.array([0.0, 1.0]), np.zeros((2, 2), int))

    def drawn(goals=end, pits=none, **panels):
        values.cells(place, goals, pits, panels, tmp_path / "cells.png", "Grid")
        with Image.open(tmp_path / "cells.png") as image:
            return np.asarray(image.convert("RGB"), int)

    moving, standing = drawn(exact=right), drawn(exact=still)
    wall = [int(values.WALL[i : i + 2], 16) for i in (1, 3, 5)]
    assert (abs(moving - wall).sum(-1) < 10).sum() > 2000
    assert (abs(moving - standing).sum(-1) > 200).sum() > 200  # the arrows
    cross = drawn(none, end, exact=right)
    for colour, there, not_there in (values.GOAL, moving, cross), ("#c0392b", cross, moving):
        rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        assert (abs(there - rgb).sum(-1) < 20).sum() > 10
        assert (abs(not_there - rgb).sum(-1) < 20).sum() == 0
    assert drawn(exact=right, learned=still).shape[1] > 1.5 * moving.shape[1]
