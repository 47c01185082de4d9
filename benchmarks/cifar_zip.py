"""CIFAR-10 as one small file for a machine without TFDS and network: what `benchmarks.gpu` takes.

    python -m benchmarks.cifar_zip --data_dir=DIR --out=cifar10.zip.xz

Writes the images of tfds:cifar10 as they are encoded, a folder per class below train/ and test/ in
a .zip, and compresses that as a whole: the headers of its JPEGs, two thirds of them, are alike.
"""

from __future__ import annotations

import argparse
import io
import lzma
import zipfile
from pathlib import Path


def main() -> None:
    import tensorflow_datasets as tfds

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data_dir", required=True, help="where TFDS data sets lie")
    parser.add_argument("--out", type=Path, default=Path("cifar10.zip.xz"))
    flags = parser.parse_args()
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for part in ("train", "test"):
            source = tfds.data_source(
                "cifar10",
                split=part,
                data_dir=flags.data_dir,
                decoders={"image": tfds.decode.SkipDecoding()},
            )
            for i in range(0, len(source), 500):
                indices = range(i, min(i + 500, len(source)))
                for j, example in zip(indices, source.__getitems__(list(indices)), strict=True):
                    archive.writestr(f"{part}/{example['label']}/{j:05d}.jpg", example["image"])
    flags.out.write_bytes(lzma.compress(written.getvalue()))
    print(f"{flags.out}: {flags.out.stat().st_size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
