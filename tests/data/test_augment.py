"""Each augmentation against a case computed by hand."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from dljax.data import augment

KEY = jax.random.key(3)


def ramp(height=5, width=7, channels=1):
    """An image whose pixels are all different."""
    levels = np.arange(height * width * channels, dtype=np.float32)
    return jnp.array(levels.reshape(height, width, channels) / levels.size)


@pytest.mark.parametrize(("mode", "numpy_mode"), [("reflect", "reflect"), ("constant", "constant")])
def test_crop_is_a_shift_and_every_shift_comes(mode, numpy_mode):
    image = ramp()
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)), mode=numpy_mode)
    shifts = {
        (top, left): padded[top : top + 5, left : left + 7] for top in range(3) for left in range(3)
    }
    crops = jax.vmap(lambda key: augment.random_crop(1, mode)(key, image))(
        jax.random.split(KEY, 200)
    )
    seen = {
        next(shift for shift, expected in shifts.items() if np.array_equal(crop, expected))
        for crop in np.asarray(crops)
    }
    assert seen == set(shifts)


def test_flip_mirrors_left_and_right():
    image = ramp(2, 3)
    np.testing.assert_array_equal(augment.flip(1.0)(KEY, image), image[:, ::-1])
    np.testing.assert_array_equal(augment.flip(0.0)(KEY, image), image)
    first = augment.batch(augment.flip())(KEY, jnp.stack([image] * 200))[:, 0, 0, 0]
    assert 70 < int((first == image[0, 2, 0]).sum()) < 130


def test_warp_by_a_quarter_turn_and_by_half_a_pixel():
    image = ramp(5, 5, 2)
    clockwise = jnp.array([[0.0, -1.0], [1.0, 0.0]])
    turned = augment.warp(image, clockwise, jnp.zeros(2))
    np.testing.assert_allclose(turned, np.rot90(image, -1), atol=1e-6)
    moved = augment.warp(image, jnp.eye(2), jnp.array([1.0, 0.5]), fill=0.25)
    np.testing.assert_allclose(moved[0], jnp.full((5, 2), 0.25), atol=1e-6)
    np.testing.assert_allclose(moved[1:, 1:], (image[:4, 1:] + image[:4, :4]) / 2, atol=1e-6)
    np.testing.assert_allclose(moved[1:, 0], (image[:4, 0] + 0.25) / 2, atol=1e-6)


def test_affine_magnifies_about_the_centre():
    image = ramp(5, 5)
    doubled = augment.affine(scale=(2.0, 2.0))(KEY, image)
    np.testing.assert_allclose(doubled[::2, ::2], image[1:4, 1:4], atol=1e-6)
    np.testing.assert_array_equal(augment.affine()(KEY, image), image)


def matrix_of(function, key):
    """The output-to-input matrix and offset of a warp, read off two images that are coordinates."""
    rows, columns = np.mgrid[-10:11, -10:11].astype(np.float32)
    image = jnp.stack([jnp.array(rows), jnp.array(columns)], -1)
    out = np.asarray(function(key, image))[8:13, 8:13]
    down, right = out[4, 2] - out[2, 2], out[2, 4] - out[2, 2]
    return np.stack([down, right], -1) / 2, out[2, 2]


def test_affine_draws_what_it_is_asked_for():
    angles, slopes, moves = [], [], []
    for key in jax.random.split(KEY, 40):
        matrix, offset = matrix_of(augment.affine(rotation=30), key)
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(2), atol=1e-5)
        np.testing.assert_allclose(offset, 0, atol=1e-5)
        angles.append(np.rad2deg(np.arctan2(matrix[1, 0], matrix[0, 0])))
        matrix, _ = matrix_of(augment.affine(shear=20), key)
        np.testing.assert_allclose(matrix[[0, 0, 1], [0, 1, 1]], [1, 0, 1], atol=1e-5)
        slopes.append(np.rad2deg(np.arctan(matrix[1, 0])))
        matrix, offset = matrix_of(augment.affine(translation=0.1), key)
        np.testing.assert_allclose(matrix, np.eye(2), atol=1e-5)
        moves.append(offset)
        # Turned, leaning and magnified at once: shear first, then rotation.
        matrix, _ = matrix_of(augment.affine(rotation=30, shear=20, scale=(1.5, 1.5)), key)
        turn, slope = np.deg2rad(-angles[-1]), np.tan(np.deg2rad(-slopes[-1]))
        rotate = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        forward = 1.5 * rotate @ np.array([[1, 0], [slope, 1]])
        np.testing.assert_allclose(matrix @ forward, np.eye(2), atol=1e-4)
    for drawn, limit in ((angles, 30), (slopes, 20), (moves, 2.1)):
        assert limit * 0.8 < np.max(drawn) <= limit + 1e-3
        assert -limit - 1e-3 <= np.min(drawn) < -limit * 0.8


def test_color_jitter_by_hand():
    image = jnp.array([[[0.2, 0.4, 0.6], [0.5, 0.5, 0.5]]])
    keys = jax.random.split(KEY, 100)
    luma = np.array([0.299, 0.587, 0.114])
    brighter = augment.color_jitter(brightness=0.5)
    factors = [np.asarray(brighter(key, image) / image) for key in keys]
    assert all(np.ptp(factor) < 1e-5 for factor in factors)
    assert 0.5 <= np.min(factors) < 0.6 and 1.4 < np.max(factors) <= 1.5

    mean = float((image @ luma).mean())
    contrasted = np.asarray(augment.color_jitter(contrast=0.5)(KEY, image))
    factor = (contrasted - mean) / (np.asarray(image) - mean)
    np.testing.assert_allclose(factor, factor[0, 0, 0], rtol=1e-4)
    assert factor[0, 0, 0] != pytest.approx(1, abs=1e-3)

    saturated = np.asarray(augment.color_jitter(saturation=0.5)(KEY, image))
    np.testing.assert_allclose(saturated @ luma, image @ luma, atol=1e-6)
    np.testing.assert_allclose(saturated[0, 1], 0.5, atol=1e-6)
    assert not np.allclose(saturated, image, atol=1e-3)


def test_hue_turns_the_colour_and_keeps_the_luma():
    red = jnp.array([[[0.6, 0.2, 0.2]]])
    np.testing.assert_allclose(augment.turn_hue(red, jnp.array(2 * jnp.pi)), red, atol=1e-6)
    half = augment.turn_hue(red, jnp.array(jnp.pi))
    level = augment.grey(red)
    np.testing.assert_allclose(half - level, level - red, atol=1e-4)
    jittered = augment.color_jitter(hue=0.1)(KEY, red)
    np.testing.assert_allclose(augment.grey(jittered), level, atol=1e-4)
    assert not np.allclose(jittered, red, atol=1e-3)


def test_color_jitter_of_grey_images_has_brightness_and_contrast_only():
    image = ramp(3, 3)
    same = augment.color_jitter(saturation=0.9, hue=0.5)(KEY, image)
    np.testing.assert_allclose(same, image, atol=1e-6)
    assert not np.allclose(augment.color_jitter(brightness=0.9)(KEY, image), image)


def test_cutout_paints_a_square_clipped_at_the_border():
    image = jnp.full((6, 6, 3), 0.5)
    areas = set()
    for key in jax.random.split(KEY, 60):
        hole = np.asarray(augment.cutout(4, fill=0.25)(key, image)) == 0.25
        assert np.array_equal(hole[..., 0], hole[..., 2])
        rows, columns = hole[..., 0].any(1).sum(), hole[..., 0].any(0).sum()
        assert hole[..., 0].sum() == rows * columns
        areas.add((int(rows), int(columns)))
    # Centres 0..5 give 2, 3, 4, 4, 4, 3 of 4 pixels inside.
    assert areas == {(rows, columns) for rows in (2, 3, 4) for columns in (2, 3, 4)}


def test_chain_applies_in_order_and_gives_each_its_own_key():
    double = lambda key, image: image * 2  # noqa: E731
    add = lambda key, image: image + 1  # noqa: E731
    image = jnp.ones((1, 1, 1))
    assert float(augment.chain(double, add)(KEY, image)[0, 0, 0]) == 3
    noise = lambda key, image: image + jax.random.uniform(key)  # noqa: E731
    first, both = augment.chain(noise)(KEY, image), augment.chain(noise, noise)(KEY, image)
    assert float(both[0, 0, 0] - first[0, 0, 0]) != pytest.approx(float(first[0, 0, 0]) - 1)


def everything():
    return augment.batch(
        augment.chain(
            augment.random_crop(2),
            augment.flip(),
            augment.affine(10, 0.1, (0.9, 1.1), 5),
            augment.color_jitter(0.2, 0.2, 0.2, 0.05),
            augment.cutout(3),
        )
    )


def test_a_key_decides_and_images_get_different_draws_inside_a_scan():
    images = jnp.broadcast_to(jax.random.uniform(KEY, (8, 8, 3)), (4, 8, 8, 3))
    function = everything()

    def body(carry, key):
        return carry, function(key, images)

    _, scanned = jax.jit(lambda keys: jax.lax.scan(body, 0, keys))(jax.random.split(KEY, 2))
    alone = jax.jit(function)(jax.random.split(KEY, 2)[1], images)
    np.testing.assert_allclose(scanned[1], alone, atol=1e-5)
    assert scanned.shape == (2, 4, 8, 8, 3) and scanned.dtype == jnp.float32
    assert float(scanned.min()) >= 0 and float(scanned.max()) <= 1
    assert not np.allclose(scanned[0], scanned[1]) and not np.allclose(alone[0], alone[1])


def test_mixup_formula():
    images = jnp.array([0.0, 1.0, 4.0]).reshape(3, 1, 1, 1)
    labels = jnp.eye(3)
    mixed, soft = augment.mixup(KEY, images, labels, alpha=0.4)
    share = float(soft[0, 0])
    assert 0 < share < 1
    next_label = jnp.array([[0, 1, 0], [0, 0, 1], [1, 0, 0]])
    np.testing.assert_allclose(soft, share * labels + (1 - share) * next_label, atol=1e-6)
    expected = [1 - share, share + 4 * (1 - share), 4 * share]
    np.testing.assert_allclose(mixed[:, 0, 0, 0], expected, atol=1e-6)


def test_mixup_share_is_beta_distributed():
    keys = jax.random.split(KEY, 2000)
    labels = jnp.eye(2)
    mix = jax.vmap(lambda key: augment.mixup(key, jnp.zeros((2, 1, 1, 1)), labels, 0.5)[1][0, 0])
    shares = np.asarray(mix(keys))
    assert shares.mean() == pytest.approx(0.5, abs=0.04)
    assert shares.var() == pytest.approx(1 / 8, abs=0.01)  # 1 / (4 (2 alpha + 1))


def test_cutmix_labels_follow_the_area_of_the_box():
    images = jnp.stack([jnp.zeros((8, 6, 2)), jnp.ones((8, 6, 2))])
    cut = jax.vmap(partial(augment.cutmix, images=images, labels=jnp.eye(2), alpha=1.0))
    mixed, soft = map(np.asarray, cut(jax.random.split(KEY, 100)))
    pasted = mixed[:, 0, :, :, 0]
    np.testing.assert_allclose(soft[:, 0, 1], pasted.mean((1, 2)), atol=1e-6)
    np.testing.assert_allclose(soft[:, 1, 0], soft[:, 0, 1], atol=1e-6)
    np.testing.assert_allclose(mixed[:, 1, :, :, 1], 1 - pasted)
    for picture in pasted:
        assert picture.sum() == picture.any(1).sum() * picture.any(0).sum()
    assert 0.15 < soft[:, 0, 1].mean() < 0.5 and soft[:, 0, 1].std() > 0.1


def test_blur_is_gaussian_and_no_wider_than_asked():
    """The drawn deviation is read from one bright pixel; scipy's filter then gives the picture."""
    image = np.zeros((31, 31, 1), np.float32)
    image[15, 15] = 1
    sigmas = []
    for seed in range(8):
        blurred = np.asarray(augment.blur(2.0)(jax.random.key(seed), jnp.asarray(image)))[..., 0]
        np.testing.assert_allclose(blurred.sum(), 1, rtol=1e-5)
        rows = blurred.sum(1)
        sigma = np.sqrt((rows * (np.arange(31) - 15) ** 2).sum())
        sigmas.append(sigma)
        if sigma > 0.5:  # below, the sampled kernel's deviation is not its parameter
            want = gaussian_filter(image[..., 0], sigma, radius=6, mode="nearest")
            np.testing.assert_allclose(blurred, want, atol=5e-3)
    assert max(sigmas) <= 2.0 and np.ptp(sigmas) > 0.5
