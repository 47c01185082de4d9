"""Numbers of each class against scikit-learn, and areas of binned scores."""

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import average_precision_score, confusion_matrix, roc_auc_score
from sklearn.metrics import precision_recall_fscore_support as scikit

from dljax.train import class_tables, metrics, ranking

TRUE = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2, 0])
SEEN = np.array([0, 0, 1, 1, 1, 2, 0, 0, 1, 0])
NEVER = np.where(SEEN == 2, 0, SEEN)  # the last class is never predicted


@pytest.mark.parametrize("seen", [SEEN, NEVER])
def test_each_class_and_the_averages_are_those_of_scikit_learn(seen):
    scores = class_tables.per_class(confusion_matrix(TRUE, seen)[None])
    rows = class_tables.class_rows(scores, ("a", "b", "c"))
    for index, name in enumerate(("precision", "recall", "f1")):
        each, macro, weighted = (
            scikit(TRUE, seen, average=x, zero_division=0)[index]
            for x in (None, "macro", "weighted")
        )
        np.testing.assert_allclose([r[name] for r in rows], [*each, macro, weighted], atol=1e-6)
    assert [row["support"] for row in rows] == [4, 2, 4, 10, 10]
    assert [row["class"] for row in rows[3:]] == ["macro average", "weighted average"]


def test_seeds_and_a_class_without_examples():
    one, other = (np.pad(confusion_matrix(TRUE, seen), (0, 1)) for seen in (SEEN, NEVER))
    counts = np.stack([one, other])
    rows = class_tables.class_rows(class_tables.per_class(counts), list("abcd"))
    assert rows[3] == {"class": "d", "support": 0} | {
        f"{name}{end}": "" for name in ("precision", "recall", "f1") for end in ("", "_std")
    }
    recalls = np.array([1 / 4, 0])
    assert rows[2]["recall"] == pytest.approx(recalls.mean(), abs=1e-6)
    assert rows[2]["recall_std"] == pytest.approx(recalls.std(ddof=1), abs=1e-6)
    assert rows[4]["recall"] == pytest.approx(np.mean([3 / 4, 1, recalls.mean()]), abs=1e-6)
    table = class_tables.confusion_rows(counts, list("abcd"))
    assert list(table[2].values()) == ["c", 5, 2, 1, 0]
    assert next(iter(table[0])) == "true \\ predicted, 2 seeds added up"


def test_areas_of_each_label_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (80, 3))
    labels[:, 2] = 0  # a label that no example has
    logits = 2.0 * labels + rng.normal(0, 1.5, labels.shape)
    counts, total = ranking.rank_counts(jnp.array(logits), jnp.array(labels), jnp.ones(80), True)
    assert total == 80
    counts = np.asarray(counts, np.float64)
    for found, official in (
        (ranking.auc_of_each(counts), roc_auc_score),
        (ranking.average_precision_of_each(counts), average_precision_score),
    ):
        expected = [official(labels[:, k], logits[:, k]) for k in range(2)]
        np.testing.assert_allclose(found[:2], expected, atol=4e-3)
        assert np.isnan(found[2])
    assert ranking.average_precision_of_counts(counts) == pytest.approx(
        ranking.average_precision_of_each(counts)[:2].mean()
    )


def test_a_weighted_loss_multiplies_the_terms_of_the_classes():
    logits, labels = jnp.array([[1.0, -2.0, 0.5], [0.0, 1.0, 2.0]]), jnp.array([0, 1])
    weights = jnp.array([2.0, 0.5, 1.0])
    plain = metrics.softmax_loss(logits, labels)
    np.testing.assert_allclose(
        metrics.softmax_loss(logits, labels, weights=weights), plain * weights[:2], rtol=1e-6
    )
    log_p = np.asarray(logits) - np.log(np.exp(np.asarray(logits)).sum(-1, keepdims=True))
    smooth = 0.9 * np.eye(3)[:2] + 0.1 / 3
    np.testing.assert_allclose(
        metrics.softmax_loss(logits, jnp.eye(3)[:2], 0.1, weights),
        -(np.asarray(weights) * smooth * log_p).sum(-1),
        rtol=1e-5,
    )
