import functools
import gc
import weakref

import numpy as np
import pytest
from matplotlib import _pylab_helpers
from PIL import Image

from dljax import plots
from dljax.plots import canvas, driving, language, masks, rl, samples, transfer, values

RNG = np.random.default_rng(0)
STEPS = np.arange(1, 41) * 50
LOSS = np.exp(-STEPS / 400)[:, None] * np.array([1.0, 1.2, 1.4])
CURVES = {
    "train/loss": (STEPS, LOSS),
    "validation/loss": (STEPS, 1.5 * LOSS),
    "validation/accuracy": (STEPS, 1 - 0.5 * LOSS),
}
COUNTS = np.array([[8.0, 2.0, 0.0], [0.0, 10.0, 0.0], [0.0, 5.0, 5.0]])
CLASSES = ("bird", "cat", "dog")
GREY, COLOUR = RNG.random((8, 8)), RNG.integers(256, size=(32, 32, 3)).astype(np.uint8)
LAYERS = [("conv", RNG.random((8, 8, 12))), ("pool", RNG.random((4, 4, 3)))]
CALIBRATION = (np.array([[0.5, 0.0], [1.55, 2.0]]), np.array([1.0, 2.0]))
CHANCES = np.array([[0.9, 0.2, 0.3], [0.8, 0.7, 0.1], [0.3, 0.6, 0.2], [0.2, 0.1, 0.4]])
HAS = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 0, 0]], bool)  # nothing has the last label
DAYS = np.datetime64("2024-01-01", "s") + np.arange(100) * np.timedelta64(1, "D")
WAVE = np.sin(np.arange(100) / 5)
OUTLOOKS = [
    plots.ForecastPanel(
        title, DAYS[:80], WAVE[:80], DAYS[80:], WAVE[80:] + 0.1, truth,
        [(WAVE[80:] - 0.5, WAVE[80:] + 0.6)], {"last value": np.full(20, WAVE[79])},
    )
    for title, truth in (("known", WAVE[80:]), ("unknown", None))
]  # fmt: skip
TILES = RNG.integers(256, size=(2, 8, 8, 1)).astype(np.uint8)
ANGLE = np.linspace(0, 2 * np.pi, 60, endpoint=False)
ROAD, LEFT = 50 * np.stack([np.cos(ANGLE), np.sin(ANGLE)], -1), np.arange(60) == 9
WALKS = {"network": WAVE + 0.1, "last value": WAVE - 0.3}
DRAW = {
    "learning_curves": lambda path: plots.learning_curves(CURVES, path),
    "confusion_matrix": lambda path: plots.confusion_matrix(COUNTS, CLASSES, path),
    "large_confusion": lambda path: plots.confusion_matrix(np.eye(40), list("x" * 40), path),
    "reliability": lambda path: plots.reliability(*CALIBRATION, path),
    "image_grid": lambda path: plots.image_grid([GREY, COLOUR] * 4, ["a"] * 8, path, "All"),
    "prediction": lambda path: plots.prediction(GREY, CLASSES, np.array([0.1, 0.7, 0.2]), path),
    "changed_prediction": lambda path: plots.prediction(
        GREY, CLASSES, np.array([0.1, 0.7, 0.2]), path, COLOUR
    ),
    "predicted_number": lambda path: plots.predicted_number(GREY, "age 4", path, COLOUR),
    "precision_recall": lambda path: plots.precision_recall(CHANCES, HAS, CLASSES, path),
    "predicted_and_actual": lambda path: plots.predicted_and_actual(
        CHANCES[:, 0], CHANCES[:, 1], "age", path
    ),
    "filters": lambda path: plots.filters(RNG.normal(size=(5, 5, 1, 6)), path),
    "colour_filters": lambda path: plots.filters(RNG.normal(size=(3, 3, 3, 40)), path),
    "deep_filters": lambda path: plots.filters(RNG.normal(size=(3, 3, 8, 100)), path),
    "forecasts": lambda path: plots.forecasts(OUTLOOKS, "Forecasts", path),
    "error_by_step": lambda path: plots.error_by_step(
        {"network": LOSS[:, 0], "b": 9 * LOSS[:, 1]}, path
    ),
    "residuals": lambda path: plots.residuals(DAYS, RNG.normal(size=100), "Errors", path),
    "coverage": lambda path: plots.coverage(
        (0.1, 0.5), {"network": np.array([0.2, 0.5])}, "Q", path
    ),
    "backtest": lambda path: plots.backtest(DAYS, WAVE, WALKS, "Walk", path, DAYS[[0, 50]]),
    "feature_maps": lambda path: plots.feature_maps(LAYERS, GREY[..., None], path),
    "sweep": lambda path: plots.sweep(["width=8 depth=2", "width=16 depth=2"], LOSS[:2], "", path),
    "neighbours": lambda path: samples.neighbours(TILES, TILES[:, None], LOSS[:2, 0], 0.5, path),
    "tracks": lambda path: driving.from_above([(ROAD, 4.0)] * 2, [[(ROAD, LEFT)]] * 2, "ab", path),
    "returns": lambda path: rl.returns(1000 * STEPS, STEPS, LOSS, path, "An environment"),
}


@pytest.fixture
def axes(monkeypatch, tmp_path):
    """Draws without a file and returns the axes that would have been saved."""

    def draw(function, *args):
        saved = []
        monkeypatch.setattr(canvas, "save", lambda figure, path: saved.append(figure))
        function(*args, tmp_path / "x.png")
        return saved[0].axes

    return draw


def test_a_picture_is_found_by_its_name():
    """They are imported when they are named."""
    names = dir(plots)
    assert {"filters", "ForecastPanel", "canvas", "masks"} <= set(names)
    assert all(getattr(plots, name).__name__.endswith(name) for name in names)
    assert plots.filters is plots.images.filters
    with pytest.raises(AttributeError, match=r"dljax\.plots has no 'colour'"):
        _ = plots.colour


@pytest.mark.parametrize("name", DRAW)
def test_writes_a_small_readable_png_and_keeps_no_figure(name, tmp_path, monkeypatch):
    figures, save = [], canvas.save

    def watched(figure, path):
        save(figure, path)
        figures.append(weakref.ref(figure))
        drawn, size = figure.get_tightbbox(), figure.get_size_inches()
        whole = (drawn.min > -0.02).all() and (drawn.max < size + 0.02).all()
        assert whole, "nothing lies beyond the picture"

    monkeypatch.setattr(canvas, "save", watched)
    path = tmp_path / "plots" / f"{name}.png"
    DRAW[name](path)
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert 300 <= picture.width <= 1500 and 100 <= picture.height <= 1500
        assert len(np.unique(np.asarray(picture.convert("L")))) > 10
    assert path.stat().st_size < 150_000
    gc.collect()
    assert [figure() for figure in figures] == [None]
    assert not _pylab_helpers.Gcf.figs


def test_a_picture_of_noise_is_still_small(tmp_path):
    photographs = RNG.integers(256, size=(6, 224, 224, 3)).astype(np.uint8)
    plots.image_grid(photographs, ["noise"] * 6, tmp_path / "x.png")
    full = 6 * 147**2 * 3
    assert (tmp_path / "x.png").stat().st_size < full / 2


def test_learning_curves_show_mean_band_and_last_value(axes):
    loss, accuracy = axes(plots.learning_curves, CURVES)
    assert (loss.get_title(), accuracy.get_title()) == ("loss", "accuracy")
    train, validation = loss.get_lines()
    np.testing.assert_allclose(train.get_ydata(), LOSS.mean(axis=1))
    assert train.get_color() != validation.get_color() == accuracy.get_lines()[0].get_color()
    band = loss.collections[0].get_datalim(loss.transData)
    np.testing.assert_allclose([band.y0, band.y1], [LOSS.min(), LOSS.max()])
    assert (loss.get_yscale(), accuracy.get_yscale()) == ("log", "linear")
    assert validation.get_label() == f"validation {1.5 * LOSS[-1].mean():.4g} ± 0.002"


def test_learning_curves_hold_all_values_or_say_so(axes):
    values = np.sin(STEPS / 200)[:, None]
    (panel,) = axes(plots.learning_curves, {"train/reward": (STEPS, values)})
    low, high = panel.get_ylim()
    assert low < values.min() and high > values.max() and not panel.texts
    values[0] = 40
    (panel,) = axes(plots.learning_curves, {"train/reward": (STEPS, values)})
    assert panel.get_ylim()[1] < 2 and "beyond the axis" in panel.texts[0].get_text()


def labels(axis) -> set[str]:
    return set(axis.get_legend_handles_labels()[1])


def test_each_colour_has_a_name(axes):
    (panel,) = axes(plots.sweep, [1.0, 2.0], LOSS[:2], "x")
    assert labels(panel) == {"a seed", "mean"} and panel.get_legend()
    left, _ = axes(lambda path: rl.returns(STEPS, STEPS, LOSS, path, "An environment"))
    assert labels(left) == {"a seed", "middle half", "mean"} and left.get_legend()
    road, _ = axes(DRAW["tracks"])
    assert labels(road) == {
        "edge of the road",
        "centre",
        "way of the car",
        "left the road",
        "start",
    }
    (square,) = axes(plots.coverage, (0.1, 0.5), {"network": np.array([0.2, 0.5])}, "Q")
    assert labels(square) == {"as it should be", "network"}


def test_actions_have_names(axes):
    car, value = values.PLANES["MountainCar-v0"], np.zeros((3, 3))
    way = np.array([[-0.5, 0.0], [0.5, 0.02]])
    draw = functools.partial(values.plane, car, value, value.astype(int), way)
    _, _, _, bar = axes(lambda path: draw(path, "Car"))
    assert [x.get_text() for x in bar.get_yticklabels()] == ["push left", "no push", "push right"]


def test_axes_hold_large_errors_and_surprises(axes):
    errors = {"network": np.ones(5), "drift": np.arange(1.0, 6.0) ** 3}
    (panel,) = axes(plots.error_by_step, errors)
    assert panel.get_yscale() == "log" and panel.get_ylim()[1] > 125
    surprise = np.where(np.arange(100) == 60, 90.0, 1.0)
    _, below = axes(
        lambda path: plots.detections("x", DAYS, WAVE, surprise, surprise > 6.5, 6.5, path)
    )
    assert below.get_ylim()[1] > 90


def test_a_baseline_of_one_point_is_seen(axes):
    def draw(path):
        curves = {"probe": {5: np.array([0.5])}}
        transfer.accuracy_by_labels(curves, {"nearest class mean": {5: np.array([0.4])}}, "x", path)

    (panel,) = axes(draw)
    assert [line.get_marker() for line in panel.get_lines()] == ["o", "x"]


def test_the_sign_of_a_line_end_takes_no_row_of_its_own(axes):
    full = language.COLUMNS * "x"
    text = f"{full}\nab\n\n{full}yz"
    panel, _ = axes(lambda path: language.surprise(text, np.arange(len(text)), path))
    rows = ["", "", "", "", ""]
    for x in sorted(panel.texts, key=lambda x: x.get_position()):
        rows[x.get_position()[1]] += x.get_text()
    assert rows == [f"{full}¶", "ab¶", "¶", full, "yz"]
    assert panel.images[0].get_array().shape[0] == len(rows)


def test_a_film_of_a_small_camera_has_room_for_its_text(tmp_path):
    pictures, still = np.zeros((9, 12, 24, 3)), np.zeros(9)
    driving.film(pictures, pictures[..., 0], still, still, 0.1, tmp_path / "x.gif")
    with Image.open(tmp_path / "x.gif") as film:
        below = np.asarray(film.convert("L"))[driving.PANEL :]
    assert (below[:-4] < 100).any() and (below[-4:] > 200).all()


def test_scores_of_classes_stand_where_they_can_be_read(axes):
    iou, share = np.array([[0.02, 0.9]]), np.array([0.1, 0.9])
    (panel,) = axes(masks.class_scores, iou, share, ("rare", "common"))
    assert [(x.get_text(), x.get_color()) for x in panel.texts] == [
        ("0.020", "black"), ("0.900", "white"),
    ]  # fmt: skip


def test_learning_curves_leave_dropped_seeds_out(axes):
    values = np.array([[1.0, 3.0], [2.0, np.nan], [np.nan, np.nan]])
    (panel,) = axes(plots.learning_curves, {"train/loss": (np.array([1, 2, 3]), values)})
    (line,) = panel.get_lines()
    np.testing.assert_array_equal(line.get_xdata(), [1, 2])
    np.testing.assert_array_equal(line.get_ydata(), [2, 2])


def test_confusion_matrix_shows_counts_and_shares(axes):
    panel, _ = axes(plots.confusion_matrix, COUNTS, CLASSES)
    texts = {tuple(text.get_position()): text.get_text() for text in panel.texts}
    # (column, row): the count of row, column; zeros stay empty
    assert texts == {(0, 0): "8", (1, 0): "2", (1, 1): "10", (1, 2): "5", (2, 2): "5"}
    shares = np.square(panel.images[0].get_array())
    np.testing.assert_allclose(shares, [[0.8, 0.2, 0], [0, 1, 0], [0, 0.5, 0.5]])
    assert "76.67% of 30" in panel.get_title()
    assert [label.get_text() for label in panel.get_yticklabels()] == list(CLASSES)
    panel, _ = axes(plots.confusion_matrix, np.stack([COUNTS, COUNTS]), CLASSES)
    assert "76.67% of 60 correct\n2 seeds" in panel.get_title()


def test_reliability_pools_seeds(axes):
    sums, count = CALIBRATION
    for factor in (1, 2):
        args = (np.stack([sums] * factor), np.stack([count] * factor))
        upper, lower = axes(plots.reliability, *args)
        heights = [bar.get_height() for bar in upper.containers[0]]
        np.testing.assert_allclose(heights, [0.0, 1.0])
        np.testing.assert_allclose([bar.get_height() for bar in lower.patches], [1 / 3, 2 / 3])
        assert f"{0.95 / 3:.2%}" in upper.get_title()


def test_image_grid_keeps_order_and_titles(axes):
    panels = axes(plots.image_grid, [GREY, COLOUR], ["1 → 7 (90%)", "2 → 3 (80%)"])
    assert [panel.get_title() for panel in panels] == ["1 → 7 (90%)", "2 → 3 (80%)"]
    np.testing.assert_allclose(panels[0].images[0].get_array(), GREY, rtol=1e-6)
    np.testing.assert_array_equal(panels[1].images[0].get_array(), COLOUR)


def test_image_grid_needs_a_title_for_each_image(tmp_path):
    with pytest.raises(ValueError):
        plots.image_grid([GREY], [], tmp_path / "x.png")


def test_prediction_sorts_the_five_best(axes):
    chance = np.array([0.05, 0.4, 0.1, 0.02, 0.3, 0.13])
    left, right = axes(plots.prediction, GREY, list("abcdef"), chance)
    assert [label.get_text() for label in right.get_yticklabels()] == list("befca")
    assert [bar.get_width() for bar in right.patches] == [0.4, 0.3, 0.13, 0.1, 0.05]
    assert left.get_title() == "b (40.0%)"


def test_a_prediction_shows_what_the_picture_became(axes):
    chance = np.array([0.1, 0.7, 0.2])
    before, after, bars = axes(lambda path: plots.prediction(GREY, CLASSES, chance, path, COLOUR))
    np.testing.assert_array_equal(before.images[0].get_array(), COLOUR)
    np.testing.assert_allclose(after.images[0].get_array(), GREY, rtol=1e-6)
    assert before.get_title() == "the picture, 32x32"
    assert after.get_title() == "cat (70.0%)\nas the network saw it, 8x8"
    assert bars.get_xlim() == (0, 1)  # of a probability


def test_precision_and_recall_by_hand(axes):
    (panel,) = axes(plots.precision_recall, CHANCES, HAS, CLASSES)
    curve, dot, *rest = panel.lines
    np.testing.assert_allclose(curve.get_xdata(), [0.5, 0.5, 1, 1])
    np.testing.assert_allclose(curve.get_ydata(), [1, 1 / 2, 2 / 3, 1 / 2])
    assert (dot.get_xdata()[0], dot.get_ydata()[0]) == (0.5, 0.5)  # two are called, one is right
    assert [x.get_text() for x in panel.get_legend().get_texts()] == ["bird: 0.833", "cat: 1.000"]
    assert len(rest) == 2


def test_filters_show_each_output_channel(axes):
    kernel = RNG.normal(size=(3, 3, 1, 5))
    *panels, _ = axes(plots.filters, kernel)
    for index, panel in enumerate(panels):
        np.testing.assert_array_equal(panel.images[0].get_array(), kernel[:, :, 0, index])
    colours = RNG.normal(size=(3, 3, 3, 2))
    panels = axes(plots.filters, colours)
    expected = 0.5 + 0.5 * colours[..., 1] / np.abs(colours).max()
    np.testing.assert_allclose(panels[1].images[0].get_array(), expected)


def test_feature_maps_show_the_strongest_channels(axes):
    maps = RNG.random((4, 4, 12))
    maps[..., [2, 7]] += 5
    panels = axes(lambda path: plots.feature_maps([("conv", maps)], GREY, path, channels=2))
    np.testing.assert_array_equal(panels[2].images[0].get_array(), maps[..., 2])
    np.testing.assert_array_equal(panels[3].images[0].get_array(), maps[..., 7])
    assert panels[2].texts[0].get_text() == "conv\n4x4x12"


def test_forecasts_begin_at_the_last_known_value(axes):
    known, unknown = axes(plots.forecasts, OUTLOOKS, "Forecasts")[:2]
    lines = {line.get_label(): line for line in known.get_lines()}
    assert {"observed", "actual", "last value", "forecast"} <= lines.keys()
    np.testing.assert_allclose(lines["forecast"].get_ydata(), [WAVE[79], *WAVE[80:] + 0.1])
    assert "actual" not in {line.get_label() for line in unknown.get_lines()}


def test_a_backtest_adds_errors_up(axes):
    draw = functools.partial(plots.backtest, refits=DAYS[[0, 50]])
    upper, lower = axes(draw, DAYS, WAVE, WALKS, "Walk")
    network, naive = lower.get_lines()
    np.testing.assert_allclose(network.get_ydata(), 0.1 * np.arange(1, 101))
    assert naive.get_label() == "last value 0.3"
    assert len(upper.get_lines()) == 2 + 2  # truth, network, two refits


def test_residuals_tell_memory_from_noise(axes):
    _, _, memory = axes(plots.residuals, DAYS, WAVE, "Errors")
    bars = [bar.get_height() for bar in memory.containers[0]]
    assert bars[0] > 0.9 and min(bars) < -0.5
