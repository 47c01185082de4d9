"""Losses that make a network's embeddings tell people apart.

Three of them classify the training people by the cosine of an embedding and one learned prototype a
person: normalised softmax (Wang et al. 2017, arXiv:1704.06369), CosFace (Wang et al. 2018,
arXiv:1801.09414, equation 4) and ArcFace (Deng et al. 2019, arXiv:1801.07698, equation 3), which
demand a margin between a person's own prototype and all others. The fourth, batch-hard triplets
(Hermans et al. 2017, arXiv:1703.07737, equation 5), has no prototypes.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from dljax.train import metrics

MARGIN_LOSSES = ("softmax", "cosface", "arcface")
TINY = 1e-6


def normalised(x: Array) -> Array:
    """Vectors [..., D] divided by their length; a vector of zeros stays one."""
    return x * jax.lax.rsqrt(jnp.maximum((x * x).sum(-1, keepdims=True), TINY**2))


def margin_logits(kind: str, cosines: Array, labels: Array, margin: Array, scale: float) -> Array:
    """Logits [B, people] for a softmax: scaled cosines, the own one made smaller by a margin.

    Args:
      kind: "softmax" (no margin), "cosface" (cos t - margin) or "arcface" (cos(t + margin)).
      cosines: [B, people], of each embedding and each prototype.
      labels: int [B].
      margin: of the cosine, or of the angle in radians.
      scale: what all are multiplied by (the papers' s).

    ArcFace's angle t + margin may pass pi, from where the cosine would rise again; there it goes on
    as the straight line cos t - margin sin(margin), as in the authors' code.
    """
    own = jax.nn.one_hot(labels, cosines.shape[-1], dtype=bool)
    if kind == "softmax":
        return scale * cosines
    if kind == "cosface":
        return scale * jnp.where(own, cosines - margin, cosines)
    if kind != "arcface":
        raise ValueError(f"unknown loss {kind!r}: choose one of {', '.join(MARGIN_LOSSES)}")
    cosines = jnp.clip(cosines, -1 + TINY, 1 - TINY)
    turned = cosines * jnp.cos(margin) - jnp.sqrt(1 - cosines**2) * jnp.sin(margin)
    turned = jnp.where(cosines > -jnp.cos(margin), turned, cosines - margin * jnp.sin(margin))
    return scale * jnp.where(own, turned, cosines)


def margin_loss(
    kind: str,
    cosines: Array,
    labels: Array,
    margin: Array,
    scale: float,
    label_smoothing: float = 0.0,
) -> Array:
    """Cross-entropy [B] in nats of the logits with their margin; see `margin_logits`."""
    logits = margin_logits(kind, cosines, labels, margin, scale)
    return metrics.softmax_loss(logits, labels, label_smoothing)


def batch_hard(embeddings: Array, labels: Array, margin: Array) -> tuple[Array, Array]:
    """The triplet loss [B] of each image with its farthest own and nearest other one of the batch.

    embeddings: [B, D], normalised. max(0, margin + d(own) - d(other)) with Euclidean distances.
    Also returns float32 [B], 1 for images that have both an own and another one in the batch; the
    loss of the others is 0.
    """
    squared = 2 - 2 * embeddings @ embeddings.T
    distance = jnp.sqrt(jnp.maximum(squared, TINY))
    same = labels[:, None] == labels[None]
    other = ~same
    same &= ~jnp.eye(len(labels), dtype=bool)
    farthest = jnp.where(same, distance, -jnp.inf).max(-1)
    nearest = jnp.where(other, distance, jnp.inf).min(-1)
    known = same.any(-1) & other.any(-1)
    loss = jnp.maximum(margin + farthest - nearest, 0)
    return jnp.where(known, loss, 0.0), known.astype(jnp.float32)
