"""What MedMNIST's labels 0, 1, ... mean, by the names of its files."""

from __future__ import annotations

import re
from pathlib import Path

from dljax.data.sources.layout import some

ORGANS = (
    "bladder", "femur-left", "femur-right", "heart", "kidney-left", "kidney-right", "liver",
    "lung-left", "lung-right", "pancreas", "spleen",
)  # fmt: skip
NAMES = {  # of labels 0, 1, ..., by the name of the file; after medmnist 3.0.2, info.py
    "adrenalmnist3d": ("normal", "hyperplasia"),
    "bloodmnist": (
        "basophil", "eosinophil", "erythroblast", "immature granulocyte", "lymphocyte", "monocyte",
        "neutrophil", "platelet",
    ),
    "breastmnist": ("malignant", "normal or benign"),
    "chestmnist": (
        "atelectasis", "cardiomegaly", "effusion", "infiltration", "mass", "nodule", "pneumonia",
        "pneumothorax", "consolidation", "edema", "emphysema", "fibrosis", "pleural", "hernia",
    ),
    "dermamnist": (
        "actinic keratosis", "basal cell carcinoma", "benign keratosis", "dermatofibroma",
        "melanoma", "melanocytic nevus", "vascular lesion",
    ),
    "fracturemnist3d": ("buckle", "nondisplaced", "displaced"),
    "nodulemnist3d": ("benign", "malignant"),
    "octmnist": ("choroidal neovascularization", "diabetic macular edema", "drusen", "normal"),
    "organamnist": ORGANS,
    "organcmnist": ORGANS,
    "organsmnist": ORGANS,
    "organmnist3d": (
        "liver", "kidney-right", "kidney-left", "femur-right", "femur-left", "bladder", "heart",
        "lung-right", "lung-left", "spleen", "pancreas",
    ),
    "pathmnist": (
        "adipose", "background", "debris", "lymphocytes", "mucus", "smooth muscle",
        "normal mucosa", "cancer-associated stroma", "adenocarcinoma epithelium",
    ),
    "pneumoniamnist": ("normal", "pneumonia"),
    "synapsemnist3d": ("inhibitory", "excitatory"),
    "vesselmnist3d": ("vessel", "aneurysm"),
}  # fmt: skip


def names_of(path: str, count: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of so many classes or labels of a file, its numbers where it is none; and notes."""
    stem = re.sub(r"_\d+$", "", Path(path).stem.lower())  # MedMNIST+: pneumoniamnist_64
    if len(NAMES.get(stem, ())) == count:
        note = f"{path}: its classes have the names of MedMNIST's {stem}: {some(NAMES[stem], 20)}"
        return NAMES[stem], (note,)
    return tuple(map(str, range(count))), ()
