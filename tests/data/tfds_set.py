"""Writes a small TFDS set as array_record, as `download_and_prepare` would, without TensorFlow."""

import io
import json
from pathlib import Path

import numpy as np
from PIL import Image


def write_set(
    root: Path,
    splits: dict[str, tuple[list[np.ndarray], list[int]]],
    *,
    name: str = "tiny",
    version: str = "1.0.0",
    classes: tuple[str, ...] = ("cat", "dog", "owl"),
    shape: tuple[int | None, ...] = (6, 5, 1),
) -> Path:
    """Writes {split: (images uint8 [H, W, C], labels)} to root/name/version and returns it."""
    from array_record.python.array_record_module import ArrayRecordWriter
    from tensorflow_datasets.proto import tf_example_pb2

    folder = root / name / version
    folder.mkdir(parents=True)
    for split, (images, labels) in splits.items():
        file = folder / f"{name.split('/')[0]}-{split}.array_record-00000-of-00001"
        writer = ArrayRecordWriter(str(file), "group_size:1")
        for image, label in zip(images, labels, strict=True):
            example = tf_example_pb2.Example()
            fields = example.features.feature
            fields["image"].bytes_list.value.append(png(image))
            fields["label"].int64_list.value.append(label)
            writer.write(example.SerializeToString())
        writer.close()
    info = {
        "name": name.split("/")[0],
        "version": version,
        "fileFormat": "array_record",
        "splits": [
            {
                "name": split,
                "numBytes": "1",
                "shardLengths": [str(len(labels))],
                "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
            }
            for split, (_, labels) in splits.items()
        ],
        "supervisedKeys": {"tuple": {"items": [{"featureKey": "image"}, {"featureKey": "label"}]}},
    }
    package = "tensorflow_datasets.core.features"
    dimensions = [str(length or 0) for length in shape]
    features = {
        "image": {
            "pythonClassName": f"{package}.image_feature.Image",
            "image": {
                "dtype": "uint8",
                "shape": {"dimensions": dimensions},
                "encodingFormat": "png",
            },
        },
        "label": {
            "pythonClassName": f"{package}.class_label_feature.ClassLabel",
            "classLabel": {"numClasses": str(len(classes))},
        },
    }
    (folder / "dataset_info.json").write_text(json.dumps(info))
    (folder / "features.json").write_text(
        json.dumps(
            {
                "pythonClassName": f"{package}.features_dict.FeaturesDict",
                "featuresDict": {"features": features},
            }
        )
    )
    (folder / "label.labels.txt").write_text("\n".join(classes) + "\n")
    return folder


def png(image: np.ndarray) -> bytes:
    """The PNG file of uint8 [H, W, 1 or 3]."""
    file = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(file, "png")
    return file.getvalue()
