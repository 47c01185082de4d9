"""Small annotated images that the tests of detection's data write."""

import numpy as np
from PIL import Image

from dljax.data.sources.vision import truth

SIZE = (32, 32)


def paint(path, width=40, height=20, level=90, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((height, width, 3), level, np.uint8)).save(path, **options)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def boxes_of(source):
    """{name of the image: [(class, *box)]}"""
    return {
        name.rsplit("/")[-1]: [
            (source.classes[label], *box)
            for label, box in zip(each.labels, each.boxes.tolist(), strict=True)
        ]
        for name, each in zip(source.names(), truth(source), strict=True)
    }


def said(data, *words):
    """Whether one note has all these words."""
    return any(all(word in note for word in words) for note in data.notes)


def thing(name, box, extra=""):
    corners = "".join(
        f"<{c}>{v}</{c}>" for c, v in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    )
    return f"<object><name>{name}</name>{extra}<bndbox>{corners}</bndbox></object>"


def xml(*things, filename="", size=(40, 20)):
    width, height = size
    return (
        f"<annotation><filename>{filename}</filename><size><width>{width}</width>"
        f"<height>{height}</height><depth>3</depth></size>{''.join(things)}</annotation>"
    )


def voc(root, contents, lists=None):
    """Annotations/ID.xml of {id: XML}, and JPEGImages/ID.jpg of each."""
    for name, text in contents.items():
        write(root / "Annotations" / f"{name}.xml", text)
        paint(root / "JPEGImages" / f"{name}.jpg")
    for part, ids in (lists or {}).items():
        write(root / "ImageSets" / "Main" / f"{part}.txt", "\n".join(ids) + "\n")
    return str(root)


CAT = thing("cat", (1, 1, 40, 20))
