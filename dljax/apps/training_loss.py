"""What the training loss of classifiers holds that the loss of their validation part does not."""

from __future__ import annotations


def note(label_smoothing: float, mixup: float, cutmix: float = 0.0) -> tuple[str, ...]:
    """A line for the reader of both losses; none where they are alike but for augmentation."""
    parts = [f"label smoothing {label_smoothing:g}"] if label_smoothing else []
    parts += [name for name, alpha in (("mixup", mixup), ("cutmix", cutmix)) if alpha]
    if not parts:
        return ()
    line = f"The training loss is with {' and '.join(parts)}, the validation loss is without"
    return (f"{line}: the one is larger.",)
