"""Writes a small TFDS set as array_record, as `download_and_prepare` would, without TensorFlow."""

import io
import json
from pathlib import Path

import numpy as np
from PIL import Image


def write_info(folder: Path, name: str, counts: dict[str, int], supervised: bool = True) -> None:
    """dataset_info.json of a set with {split: number of examples}."""
    items = [{"featureKey": "image"}, {"featureKey": "label"}]
    info = {
        "name": name.split("/")[0],
        "version": folder.name,
        "fileFormat": "array_record",
        "splits": [
            {
                "name": split,
                "numBytes": "1",
                "shardLengths": [str(count)],
                "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
            }
            for split, count in counts.items()
        ],
        **({"supervisedKeys": {"tuple": {"items": items}}} if supervised else {}),
    }
    (folder / "dataset_info.json").write_text(json.dumps(info))


def write_records(folder: Path, name: str, split: str, records: list[bytes]) -> None:
    """The one shard of a split."""
    from array_record.python.array_record_module import ArrayRecordWriter

    file = folder / f"{name.split('/')[0]}-{split}.array_record-00000-of-00001"
    writer = ArrayRecordWriter(str(file), "group_size:1")
    for record in records:
        writer.write(record)
    writer.close()


def write_annotated(root: Path, name: str, features: dict, splits: dict[str, list[dict]]) -> Path:
    """Writes {split: examples} of {key: tfds feature} to root/name/1.0.0; images are arrays."""
    from tensorflow_datasets import features as kinds

    folder = root / name / "1.0.0"
    folder.mkdir(parents=True)
    known = kinds.FeaturesDict(features)
    known.save_config(str(folder))
    for split, examples in splits.items():
        files = [
            {k: io.BytesIO(png(x)) if isinstance(x, np.ndarray) else x for k, x in each.items()}
            for each in examples
        ]
        write_records(folder, name, split, [known.serialize_example(x) for x in files])
    counts = {split: len(examples) for split, examples in splits.items()}
    write_info(folder, name, counts, supervised=False)
    return folder


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
    from tensorflow_datasets.proto import tf_example_pb2

    folder = root / name / version
    folder.mkdir(parents=True)
    for split, (images, labels) in splits.items():
        records = []
        for image, label in zip(images, labels, strict=True):
            example = tf_example_pb2.Example()
            fields = example.features.feature
            fields["image"].bytes_list.value.append(png(image))
            fields["label"].int64_list.value.append(label)
            records.append(example.SerializeToString())
        write_records(folder, name, split, records)
    write_info(folder, name, {split: len(labels) for split, (_, labels) in splits.items()})
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
