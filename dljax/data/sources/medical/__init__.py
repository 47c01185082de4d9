"""Medical images: MedMNIST files, folders of classes, volumes; and which patient each is of."""

from pathlib import Path

from dljax.data.sources.layout import image_files
from dljax.data.sources.part_names import part_folders

IMAGE_FOLDERS = ("images", "imagestr", "imagests")  # beside which masks or labels lie


def is_classification(dataset: str) -> bool:
    """Whether a data set has one label (or a row of labels) for each image.

    True for a `.npz` file and for a folder with folders of images, one for each class, directly or
    below train/. False for all else: 'brain', folders with images/ or imagesTr/, volumes, DICOM.
    """
    path = Path(dataset).expanduser()
    if not path.is_dir():
        return path.suffix.lower() == ".npz"
    folders = [x for x in path.iterdir() if x.is_dir() and not x.name.startswith(".")]
    if any(x.name.lower() in IMAGE_FOLDERS for x in folders):
        return False
    train = part_folders(path).get("train")
    classes = [x for x in (train or path).iterdir() if x.is_dir() and not x.name.startswith(".")]
    if any(x.name.lower() in IMAGE_FOLDERS for x in classes):
        return False
    return any(image_files(x) for x in classes)
