"""What the levels of masks mean: ids, palettes, colours, two levels, lists of classes."""

import numpy as np
import pytest

from dljax.data.sources.vision import IGNORE, load_masks
from dljax.data.sources.vision.class_list import parse_class_list
from tests.data.mask_files import COLOURS, IDS, SHAPE, everything, pairs, said, write


def test_ids_without_a_list_of_classes(tmp_path):
    with_void = np.where(IDS == 1, 255, IDS).astype(np.uint8)
    data = load_masks(pairs(tmp_path, {"a": IDS, "b": with_void}))
    assert data.classes == ("0", "1", "2") and data.ids == (0, 1, 2)
    assert said(data, "no list of classes") and said(data, "255", "ignored")
    found = everything(data)
    np.testing.assert_array_equal(found["a"], IDS)
    np.testing.assert_array_equal(found["b"], with_void)
    assert data.train[0]["image"].shape == (*SHAPE, 3)


def test_a_palette_holds_indices_and_not_colours(tmp_path):
    root = pairs(tmp_path, {"a": IDS, "b": IDS}, mode="P", palette=[(5, 5, 5)] * 3)
    np.testing.assert_array_equal(everything(load_masks(root))["a"], IDS)
    # grey colours, which a conversion to grey would take for the levels
    root = pairs(
        tmp_path, {"a": IDS, "b": IDS}, mode="P", palette=[(9, 9, 9), (0, 0, 0), (1, 1, 1)]
    )
    write(tmp_path / "classes.txt", "x\ny\nz\n")
    np.testing.assert_array_equal(everything(load_masks(root))["b"], IDS)


def test_a_palette_that_contradicts_the_list_is_refused(tmp_path):
    lines = [f"{name} {r} {g} {b}" for name, (r, g, b) in zip("xyz", COLOURS, strict=True)]
    write(tmp_path / "classes.txt", "\n".join(lines))
    root = pairs(tmp_path, {"a": IDS, "b": IDS}, mode="P", palette=COLOURS)
    data = load_masks(root)
    np.testing.assert_array_equal(everything(data)["a"], IDS)
    assert data.palette == tuple(COLOURS)
    pairs(tmp_path, {"b": IDS}, mode="P", palette=COLOURS[::-1])
    with pytest.raises(ValueError, match="b.png: the palette gives index 0 the colour of 'z'"):
        everything(load_masks(root))


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_colours_by_a_list(tmp_path, mode):
    colours = np.array(COLOURS, np.uint8)[IDS]
    if mode == "RGBA":
        colours = np.concatenate([colours, np.full((*SHAPE, 1), 200, np.uint8)], -1)
    root = pairs(tmp_path, {"a": colours, "b": colours})
    with pytest.raises(ValueError, match=r"\.png holds colours, and there is no list of classes"):
        load_masks(root)
    write(tmp_path / "class_dict.csv", "name,r,g,b\nx,128,0,0\nVoid,0,128,0\nz,10,20,30\n")
    data = load_masks(root)
    assert data.classes == ("x", "z") and data.ids == (0, 2)
    np.testing.assert_array_equal(everything(data)["a"], np.array([0, IGNORE, 1])[IDS])
    colours[1, 2, :3] += 1
    pairs(tmp_path, {"b": colours})
    with pytest.raises(ValueError, match=r"b.png has the colour \(1, 129, 1\) \(1 pixels\)"):
        everything(load_masks(root))


@pytest.mark.parametrize("kind", ["255", "1-bit", "one", "jpeg", "rgb", "palette"])
def test_two_levels(tmp_path, kind):
    binary = IDS > 0
    mask = {
        "1-bit": binary,
        "one": binary.astype(np.uint8),
        "rgb": np.repeat(binary[..., None] * np.uint8(255), 3, -1),
    }.get(kind, (binary * 255).astype(np.uint8))
    options = {"ending": ".jpg", "quality": 100} if kind == "jpeg" else {}
    options |= {"mode": "P", "palette": [(0, 0, 0)] * 256} if kind == "palette" else {}
    root = pairs(tmp_path, {"a": mask, "b": mask}, **options)
    data = load_masks(root)
    assert len(data.classes) == 2 and said(data, "no list of classes")
    np.testing.assert_array_equal(everything(data)["a"], binary)
    write(tmp_path / "classes.txt", "membrane\ncell\n")
    named = load_masks(root)
    assert named.classes == ("membrane", "cell")
    assert named.ids == ((0, 1) if kind == "one" else (0, 255))
    np.testing.assert_array_equal(everything(named)["b"], binary)


def test_a_jpeg_of_two_levels_is_rounded_and_one_of_ids_refused(tmp_path):
    y, x = np.mgrid[:64, :64]
    disc = (y - 30) ** 2 + (x - 25) ** 2 < 400
    black = np.zeros((64, 64), np.uint8)
    masks = {"a": (disc * 255).astype(np.uint8), "b": black}
    root = pairs(tmp_path, masks, ending=".jpg", quality=90)
    np.testing.assert_array_equal(everything(load_masks(root))["a"], disc)
    pairs(tmp_path, {"b": disc.astype(np.uint8) * 2}, ending=".jpg", quality=90)
    with pytest.raises(ValueError, match="b.jpg is a JPEG, which blurs class ids"):
        load_masks(root)


def test_0_1_255_is_two_classes_and_ignored_pixels(tmp_path):
    mask = np.array([[0, 1, 255], [0, 0, 255]], np.uint8)
    root = pairs(tmp_path, {"a": mask, "b": mask})
    np.testing.assert_array_equal(everything(load_masks(root))["a"], mask)
    write(tmp_path / "labels.txt", "no\nyes\n")
    np.testing.assert_array_equal(everything(load_masks(root))["a"], mask)


def test_ids_by_a_list_with_several_to_ignore(tmp_path):
    mask = np.array([[7, 8, 0], [33, 7, 1]], np.uint8)
    root = pairs(tmp_path, {"a": mask, "b": mask})
    with pytest.raises(
        ValueError, match=r"levels 0, 1, 7, 8, 33 \(33 is in .*\), which are no class ids"
    ):
        load_masks(root)
    write(tmp_path / "classes.txt", "0 ignore\n1 ignore\n7 road\n8 side walk\n33 bicycle\n")
    data = load_masks(root)
    assert data.classes == ("road", "side walk", "bicycle") and data.ids == (7, 8, 33)
    assert said(data, "0, 1", "are ignored")
    np.testing.assert_array_equal(everything(data)["a"], [[0, 1, IGNORE], [2, 0, IGNORE]])
    write(tmp_path / "classes.txt", "0 ignore\n1 ignore\n7 road\n8 walk\n")
    with pytest.raises(
        ValueError, match=r"\.png has the class id 33 \(1 pixels\), .* none of 7, 8"
    ):
        everything(load_masks(root))


def test_levels_of_16_bits_and_beyond_the_table(tmp_path):
    mask = np.array([[0, 1000], [2, 1]], np.uint16)
    root = pairs(tmp_path, {"a": mask, "b": mask})
    write(tmp_path / "classes.txt", "0 x\n1 y\n2 z\n1000 far\n")
    np.testing.assert_array_equal(everything(load_masks(root))["a"], [[0, 3], [2, 1]])
    write(tmp_path / "classes.txt", "0 x\n1 y\n2 z\n")
    with pytest.raises(ValueError, match="class id 1000"):
        everything(load_masks(root))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# comment\nroad\nside walk\n", {"road": (0, None), "side walk": (1, None)}),
        ("3 road\n5: car\n", {"road": (3, None), "car": (5, None)}),
        ("128 64 128\tRoad\n0 0 1\tCar\n", {"Road": (0, (128, 64, 128)), "Car": (1, (0, 0, 1))}),
        ("# label:color_rgb:parts:actions\nroad:1,2,3::\n", {"road": (0, (1, 2, 3))}),
        ("4 road 1 2 3\n", {"road": (4, (1, 2, 3))}),
        ("0\n1\n", {"0": (0, None), "1": (1, None)}),
        ("class 1\nclass 2\n", {"class 1": (0, None), "class 2": (1, None)}),
    ],
)
def test_lists_of_classes(tmp_path, text, expected):
    write(tmp_path / "classes.txt", text)
    listed = parse_class_list(tmp_path / "classes.txt")
    assert listed.names == tuple(expected)
    colours = {index: colour for colour, index in listed.colours.items()}
    assert {
        name: (next(i for i, k in listed.ids.items() if k == index), colours.get(index))
        for index, name in enumerate(listed.names)
    } == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lists no class"),
        ("a\na\n", "lists the class 'a' twice"),
        ("1 a\n1 b\n", "'b' has the id or colour of another"),
        ("1 a\nb\n", "some lines have an id"),
        ("1 a\n99999999 b\n", "'b' has the id 99999999"),
        ("a 300 0 0\n", "line 1: a colour has levels"),
        ("a 1 2\n", "line 1 is not understood"),
        ("void\n", "lists no class but ignored ones"),
    ],
)
def test_a_faulty_list_of_classes_is_refused_by_name(tmp_path, text, message):
    write(tmp_path / "classes.txt", text)
    with pytest.raises(ValueError, match=f"classes.txt.*{message}"):
        parse_class_list(tmp_path / "classes.txt")
