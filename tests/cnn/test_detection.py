"""Object detection: boxes, assignment, suppression and scores against independent values."""

import io
from contextlib import redirect_stdout

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pycocotools import coco, cocoeval

from dljax.cnn.detection import (
    assignment,
    boxes,
    coco_metrics,
    detector,
    errors,
    inference,
    losses,
    suppression,
)
from dljax.data.sources.vision import Truth
from tests.cnn.detections import network, small_detector

RNG = np.random.default_rng(0)


def random_boxes(count: int, size: float = 200.0, rng=RNG) -> np.ndarray:
    corner, side = rng.uniform(0, size, (count, 2)), rng.uniform(2, size / 2, (count, 2))
    return np.concatenate([corner, corner + side], 1).astype(np.float32)


def test_overlaps_by_hand():
    a, b = jnp.array([0.0, 0, 10, 10]), jnp.array([5.0, 0, 15, 10])
    np.testing.assert_allclose(boxes.iou(a, b), 50 / 150)
    np.testing.assert_allclose(boxes.giou(a, b), 50 / 150, rtol=1e-6)  # nothing uncovered
    far = jnp.array([20.0, 0, 30, 10])
    np.testing.assert_allclose(boxes.giou(a, far), 0 - 100 / 300, rtol=1e-6)
    assert boxes.iou(a, jnp.zeros(4)) == 0 and boxes.iou(jnp.zeros(4), jnp.zeros(4)) == 0


def test_distances_are_undone():
    centres, strides = boxes.grid((33, 64), (8, 16))
    assert len(centres) == 5 * 8 + 3 * 4 and strides.tolist() == [8.0] * 40 + [16.0] * 12
    assert centres[1].tolist() == [12.0, 4.0]
    truth = random_boxes(len(centres))
    back = boxes.from_distances(centres, boxes.to_distances(centres, truth))
    np.testing.assert_allclose(back, truth, rtol=1e-5)


def test_losses_by_hand():
    logit, y = jnp.log(3.0), 0.5  # p = 0.75
    expected = 0.25**2 * -(0.5 * np.log(0.75) + 0.5 * np.log(0.25))
    np.testing.assert_allclose(losses.quality_focal(logit, y), expected, rtol=1e-5)
    p = np.array([0.1, 0.2, 0.6, 0.1])
    loss = losses.distribution_focal(jnp.log(jnp.asarray(p)), 1.25)
    np.testing.assert_allclose(loss, -(0.75 * np.log(0.2) + 0.25 * np.log(0.6)), rtol=1e-5)
    np.testing.assert_allclose(losses.expected_distance(jnp.log(jnp.asarray(p))), 1.7, rtol=1e-6)


def test_every_object_gets_places_of_its_own():
    centres, strides = boxes.grid((64, 64), (8, 16))
    truth = jnp.array([[4.0, 4, 30, 30], [40, 40, 44, 44], [6, 6, 28, 28], [0, 0, 0, 0]])
    labels = jnp.array([0, 1, 2, -1])
    scores = jnp.full((len(centres), 3), 0.01)
    predicted = boxes.from_distances(centres, jnp.full((len(centres), 4), 6.0))
    found = assignment.assign(scores, predicted, centres, strides, truth, labels)
    taken = np.asarray(found.score) > 0
    owners = np.asarray(found.object)[taken]
    assert set(owners.tolist()) == {0, 1, 2}  # the tiny one too, and no padding
    x, y = centres[taken].T
    box = np.asarray(truth)[owners]
    near = np.asarray(strides)[taken]
    assert (x > box[:, 0] - near).all() and (y < box[:, 3] + near).all()
    assert (np.bincount(owners, minlength=3) <= 10).all()
    assert float(found.score.max()) <= 1
    nothing = assignment.assign(scores, predicted, centres, strides, truth, jnp.full(4, -1))
    assert (np.asarray(nothing.score) == 0).all()


def reference_keep(boxes_, scores, threshold):
    kept = []
    for i in range(len(boxes_)):
        overlaps = [float(boxes.iou(jnp.asarray(boxes_[i]), jnp.asarray(boxes_[j]))) for j in kept]
        if scores[i] > 0 and all(overlap <= threshold for overlap in overlaps):
            kept.append(i)
    return kept


@pytest.mark.parametrize("threshold", [0.2, 0.6])
def test_suppression_is_the_greedy_one(threshold):
    found = random_boxes(40, 60)
    scores = np.sort(RNG.random(40))[::-1].astype(np.float32)
    scores[-3:] = 0
    kept = jax.jit(suppression.keep, static_argnums=2)(found, scores, threshold)
    assert np.flatnonzero(kept).tolist() == reference_keep(found, scores, threshold)


def test_suppression_keeps_classes_apart():
    found = jnp.array([[0.0, 0, 10, 10], [0, 0, 10, 10], [1, 0, 11, 10]])
    scores = jnp.array([[0.9, 0.0], [0.0, 0.8], [0.7, 0.0]])
    best = suppression.suppress(found, scores, most=5, candidates=6)
    assert best.labels.tolist()[:2] == [0, 1] and best.labels.tolist()[2:] == [-1] * 3
    np.testing.assert_allclose(best.scores[:2], [0.9, 0.8])


def random_images(count: int, classes: int, rng):
    """Objects, some in crowds, and detections near them, doubled, elsewhere; scores with ties."""
    for _ in range(count):
        objects = int(rng.integers(0, 7))
        truth, labels = random_boxes(objects, rng=rng), rng.integers(0, classes, objects)
        crowd = rng.random(objects) < 0.2
        near = truth[rng.integers(0, objects, 8)] if objects else np.zeros((0, 4), np.float32)
        near = near + rng.normal(0, 6, near.shape).astype(np.float32)
        found = np.concatenate([near, random_boxes(4, rng=rng)])
        found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 1)
        guess = rng.integers(0, classes, len(found))
        yield found, guess, rng.integers(1, 12, len(found)) / 12, truth, labels, crowd


def test_coco_scores_are_those_of_pycocotools():
    for seed in range(3):
        rng = np.random.default_rng(seed)
        classes, data, results = 5, {"images": [], "annotations": []}, []
        ours = coco_metrics.Evaluation(classes)
        for image, one in enumerate(random_images(30, classes - 1, rng)):  # the last has no object
            found, guess, scores, truth, labels, crowd = one
            ours.add(found, guess, scores, truth, labels, crowd)
            data["images"].append({"id": image})
            for box, label, many in zip(truth.astype(float), labels, crowd, strict=True):
                sides = [*box[:2], *(box[2:] - box[:2])]
                data["annotations"].append(
                    {"id": len(data["annotations"]) + 1, "image_id": image,
                     "category_id": int(label), "bbox": sides,
                     "area": float(sides[2] * sides[3]), "iscrowd": int(many)}
                )  # fmt: skip
            for box, label, score in zip(found.astype(float), guess, scores, strict=True):
                sides = [*box[:2], *(box[2:] - box[:2])]
                results.append(
                    {"image_id": image, "category_id": int(label), "bbox": sides, "score": score}
                )
        data["categories"] = [{"id": number} for number in range(classes)]
        with redirect_stdout(io.StringIO()):
            truth = coco.COCO()
            truth.dataset = data
            truth.createIndex()
            run = cocoeval.COCOeval(truth, truth.loadRes(results), "bbox")
            run.evaluate()
            run.accumulate()
            run.summarize()
        names = [
            "ap",
            "ap50",
            "ap75",
            "ap_small",
            "ap_medium",
            "ap_large",
            "ar_1",
            "ar_10",
            "ar_100",
            "ar_small",
            "ar_medium",
            "ar_large",
        ]
        values = ours.coco()
        theirs = np.where(run.stats < 0, np.nan, run.stats)
        np.testing.assert_allclose([values[n] for n in names], theirs, atol=1e-9, rtol=0)
        assert np.isnan(ours.per_class()["ap"][classes - 1])


def test_average_precision_by_hand():
    """Two objects; right, wrong, right: precision 1 to recall 1/2, then 2/3."""
    ours = coco_metrics.Evaluation(1)
    truth = np.array([[0, 0, 10, 10], [20, 20, 30, 30]])
    found = np.array([[0, 0, 10, 10], [50, 50, 60, 60], [20, 20, 30, 30]])
    ours.add(found, np.zeros(3, int), np.array([0.9, 0.8, 0.7]), truth, np.zeros(2, int))
    assert ours.voc()["ap"] == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert ours.voc(eleven_points=True)["ap"] == pytest.approx((6 * 1 + 5 * 2 / 3) / 11)
    assert ours.coco()["ap50"] == pytest.approx((51 * 1 + 50 * 2 / 3) / 101)


def test_difficult_objects_count_for_nothing():
    ours = coco_metrics.Evaluation(1)
    truth = np.array([[0, 0, 10, 10], [20, 20, 30, 30]])
    found = np.array([[20, 20, 30, 30], [0, 0, 10, 10]])
    difficult = np.array([False, True])
    ours.add(found, np.zeros(2, int), np.array([0.9, 0.8]), truth, np.zeros(2, int), difficult)
    assert ours.voc()["ap"] == 1


def found(*rows) -> inference.Objects:
    """Detections of (box, label, score)."""
    box, label, score = zip(*rows, strict=True)
    return inference.Objects(np.array(box, float), np.array(label), np.array(score, float))


def annotated(*rows, flags=None) -> Truth:
    box, label = zip(*rows, strict=True)
    box = np.array(box, float)
    flags = np.zeros(len(box), np.uint8) if flags is None else np.array(flags, np.uint8)
    return Truth(0, (100, 100), box, np.array(label), flags, np.full(len(box), 1.0))


def test_every_kind_of_error():
    true = annotated(
        ([0, 0, 10, 10], 0),
        ([50, 50, 60, 60], 1),
        ([0, 50, 10, 60], 0),
        ([50, 0, 60, 10], 0),
        ([80, 80, 90, 90], 1),
        flags=[0, 0, 0, 0, 1],
    )
    rows = [
        ([0, 0, 10, 10], 0, 0.9, "right"),
        ([0, 0, 10, 9], 0, 0.8, "duplicate"),
        ([50, 50, 60, 61], 0, 0.7, "classification"),
        ([0, 50, 10, 54], 0, 0.6, "localisation"),
        ([56, 50, 66, 60], 0, 0.5, "both"),  # a quarter of the other class
        ([30, 30, 40, 40], 0, 0.4, "background"),
        ([80, 80, 90, 90], 1, 0.3, ""),  # of a flagged object: nothing
        ([30, 60, 40, 70], 0, 0.1, ""),  # below the score
    ]
    result = errors.diagnose(found(*[row[:3] for row in rows]), true, least=0.2)
    names = ["" if kind < 0 else errors.KINDS[kind] for kind in result.kinds]
    assert names == [row[3] for row in rows]
    assert result.missed.tolist() == [False, False, False, True, False]
    counts = dict(zip(errors.KINDS, errors.counts([result, result]), strict=True))
    assert counts == dict.fromkeys(errors.KINDS, 2)


def test_the_score_of_the_best_f1():
    true = [annotated(([0, 0, 10, 10], 0), ([50, 50, 60, 60], 0))]
    every = [
        found(([0, 0, 10, 10], 0, 0.9), ([50, 50, 60, 60], 0, 0.6), ([20, 20, 30, 30], 0, 0.4))
    ]
    assert errors.best_score(every, true) == 0.6
    assert errors.best_score([found(([20, 20, 30, 30], 0, 0.4))], true) == 0.5  # none is right


def test_binned_average_precision_is_near_the_exact_one():
    """Histograms of right and wrong detections, and VOC's rule, against coco_metrics.voc."""
    rng = np.random.default_rng(5)
    classes, exact, parts = 3, coco_metrics.Evaluation(3), []
    for _ in range(40):
        true = random_boxes(8, rng=rng)
        labels = rng.integers(0, classes, 8).astype(np.int32)
        labels[6:] = -1
        flags = (rng.random(8) < 0.2).astype(np.uint8)
        pick = rng.permutation(20) % 6
        near = (true[pick] + rng.normal(0, 4, (20, 4))).astype(np.float32)
        other = rng.integers(0, classes, 20)
        guess = np.where(rng.random(20) < 0.7, labels[pick], other).astype(np.int32)
        scores = np.sort(rng.random(20))[::-1].astype(np.float32)
        exact.add(near, guess, scores, true, labels, flags > 0)
        detections = suppression.Detections(*map(jnp.asarray, (near, guess, scores)))
        parts.append(
            detector.histograms(detections, *map(jnp.asarray, (true, labels, flags)), classes)
        )
    columns = zip(*parts, strict=True)
    right, wrong, objects = (sum(np.asarray(x, float) for x in part) for part in columns)
    sums = {
        "right_50": (right[None], np.ones(1)),
        "wrong_50": (wrong[None], np.ones(1)),
        "objects": (objects[None], np.ones(1)),
    }
    (binned,) = detector.summarise(sums)["ap50_binned"]
    assert 0.2 < binned < 0.9
    np.testing.assert_allclose(binned, exact.voc()["ap"], atol=0.01)


def test_both_views_see_a_mirror_image_mirrored():
    """Outputs for the image and its mirror image are each other's, side for side."""
    task, model = small_detector(), network()
    state = jax.jit(task.init)(jax.random.key(0))
    images = jax.random.normal(jax.random.key(1), (2, 16, 16, 3))
    back = detector.mirrored((16, 16), (4,))
    assert back.tolist()[:5] == [3, 2, 1, 0, 7]
    plain, both = (jax.jit(detector.look(model, (4,), flip)) for flip in (False, True))
    scores, distances = both(state, images)
    again, others = both(state, images[:, :, ::-1])
    np.testing.assert_allclose(scores, again[:, back], atol=1e-5)
    np.testing.assert_allclose(distances[..., 0, :], others[:, back][..., 2, :], atol=1e-5)
    np.testing.assert_allclose(distances[..., 1, :], others[:, back][..., 1, :], atol=1e-5)
    mean = (plain(state, images)[0] + plain(state, images[:, :, ::-1])[0][:, back]) / 2
    np.testing.assert_allclose(scores, mean, atol=1e-5)
    with pytest.raises(ValueError, match="a width that is a multiple of 8, not 12"):
        detector.mirrored((16, 12), (4, 8))
