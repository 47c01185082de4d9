"""PyTorch's files without PyTorch: right numbers from sound ones, one clear line from others."""

import gzip
import io
import pickle
import tarfile
import zipfile

import ml_dtypes
import numpy as np
import pytest

from dljax.transfer import torch_file, weights
from tests.transfer import torch_files as by_hand

ROW = np.arange(12, dtype=np.float32)


def read(tmp_path, content: bytes):
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    return torch_file.read(path)


def one(size, stride, offset=0, kind="FloatStorage", count=12):
    return by_hand.mapping({"w": by_hand.tensor("0", kind, count, offset, size, stride)})


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_strides_and_offsets_are_views_of_one_storage(tmp_path, form):
    items = {
        "plain": by_hand.tensor("0", "FloatStorage", 12, 0, (3, 4), (4, 1)),
        "transposed": by_hand.tensor("0", "FloatStorage", 12, 0, (4, 3), (1, 4)),
        "cut": by_hand.tensor("0", "FloatStorage", 12, 5, (2, 2), (4, 1)),
        "expanded": by_hand.tensor("0", "FloatStorage", 12, 7, (2, 3), (0, 0)),
        "scalar": by_hand.tensor("0", "FloatStorage", 12, 11, (), ()),
        "none": by_hand.tensor("0", "FloatStorage", 12, 0, (0, 3), (3, 1)),
    }
    body = by_hand.mapping({"model": by_hand.mapping(items), "epoch": by_hand.number(3)})
    if form == "zip":
        arrays = read(tmp_path, by_hand.zipped(body, {"0": ROW.tobytes()}))
    else:
        arrays = read(tmp_path, by_hand.legacy(body, {"0": ROW}))
    grid = ROW.reshape(3, 4)
    assert list(arrays) == [f"model.{name}" for name in items]
    np.testing.assert_array_equal(arrays["model.plain"], grid)
    np.testing.assert_array_equal(arrays["model.transposed"], grid.T)
    np.testing.assert_array_equal(arrays["model.cut"], [[5, 6], [9, 10]])
    np.testing.assert_array_equal(arrays["model.expanded"], np.full((2, 3), 7))
    assert arrays["model.scalar"].shape == () and arrays["model.scalar"] == 11
    assert arrays["model.none"].shape == (0, 3)


@pytest.mark.parametrize("little", [True, False])
@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_half_precision_and_byte_orders(tmp_path, form, little):
    bfloat = ROW.astype(ml_dtypes.bfloat16).view(np.uint16)
    sources = {"h": ROW.astype(np.float16), "b": bfloat, "i": ROW.astype(np.int64) - 5, "f": ROW}
    body, _ = by_hand.state(sources)
    if form == "zip":
        order = "<" if little else ">"
        raw = [x.astype(x.dtype.newbyteorder(order)).tobytes() for x in sources.values()]
        storages = {str(key): content for key, content in enumerate(raw)}
        content = by_hand.zipped(body, storages, "little" if little else "big")
    else:
        rows = {str(key): x for key, x in enumerate(sources.values())}
        content = by_hand.legacy(body, rows, little)
    arrays = read(tmp_path, content)
    assert {name: str(x.dtype) for name, x in arrays.items()} == {
        "h": "float16", "b": "bfloat16", "i": "int64", "f": "float32"
    }  # fmt: skip
    for name in ("h", "b", "f"):
        np.testing.assert_array_equal(arrays[name].astype(np.float32), ROW)
    np.testing.assert_array_equal(arrays["i"], np.arange(12) - 5)


def test_negated_and_conjugated_views(tmp_path):
    """As of x.conj().imag: the storage holds the other sign."""
    complex_ = (ROW[:4] + 2j * ROW[:4]).astype(np.complex64)
    items = {
        "negative": by_hand.tensor("0", "FloatStorage", 12, 1, (2, 2), (4, 2), ("neg",)),
        "plain": by_hand.tensor("0", "FloatStorage", 12, 1, (2,), (1,)),
        "conjugate": by_hand.tensor("1", "ComplexFloatStorage", 4, 0, (4,), (1,), ("conj",)),
        "both": by_hand.tensor("1", "ComplexFloatStorage", 4, 1, (2,), (1,), ("conj", "neg")),
    }
    storages = {"0": ROW, "1": complex_}
    raw = {key: x.tobytes() for key, x in storages.items()}
    for content in (
        by_hand.zipped(by_hand.mapping(items), raw),
        by_hand.legacy(by_hand.mapping(items), storages),
    ):
        arrays = read(tmp_path, content)
        np.testing.assert_array_equal(arrays["negative"], [[-1, -3], [-5, -7]])
        np.testing.assert_array_equal(arrays["plain"], [1, 2])
        np.testing.assert_array_equal(arrays["conjugate"], complex_.conj())
        np.testing.assert_array_equal(arrays["both"], -complex_.conj()[1:3])
    other = by_hand.tensor("0", "FloatStorage", 12, 0, (2,), (1,), ("zero",))
    with pytest.raises(ValueError, match=r"properties that are not known: \{'zero': True\}"):
        read(tmp_path, by_hand.zipped(by_hand.mapping({"w": other}), {"0": ROW.tobytes()}))


def w(place: int) -> bytes:
    return by_hand.tensor("0", "FloatStorage", 12, place, (), ())


def test_tensors_in_lists_are_not_lost(tmp_path):
    body = by_hand.mapping({
        "blocks": b"](" + w(3) + b"](" + w(4) + by_hand.number(1) + b"e" + w(5) + b"e",
        "pair": w(6) + w(7) + b"\x86",
        "sizes": by_hand.numbers((1, 2)),
        "default": b"ccollections\ndefaultdict\nc__builtin__\nlist\n\x85R"
        + by_hand.text("x") + w(8) + b"s",
    })  # fmt: skip
    path = tmp_path / "x.pth"
    path.write_bytes(by_hand.zipped(body, {"0": ROW.tobytes()}))
    found = torch_file.load(path)
    assert {name: int(x) for name, x in found.arrays.items()} == {
        "blocks.0": 3, "blocks.1.0": 4, "blocks.2": 5, "pair.0": 6, "pair.1": 7, "default.x": 8
    }  # fmt: skip
    assert found.skipped == ("sizes",)


def test_a_name_that_is_there_twice_is_refused(tmp_path):
    body = by_hand.mapping({"a.b": w(1), "a": by_hand.mapping({"b": w(2)})})
    with pytest.raises(ValueError, match=r"a\.b is in it twice, when its dictionaries are joined"):
        read(tmp_path, by_hand.zipped(body, {"0": ROW.tobytes()}))
    shared = b"}(" + by_hand.text("model") + by_hand.mapping({"w": w(1)}) + b"q\x01"
    shared += by_hand.text("ema") + b"h\x01u"
    path = tmp_path / "x.pth"
    path.write_bytes(by_hand.zipped(shared, {"0": ROW.tobytes()}))
    found = torch_file.load(path)
    assert list(found.arrays) == ["ema.w"] and found.skipped == ("model (there twice, it is ema)",)


def test_files_without_checksums_are_read(tmp_path):
    """As after torch.serialization.set_crc32_options(False): each CRC-32 is written as 0."""
    content = bytearray(by_hand.zipped(one((12,), (1,)), {"0": ROW.tobytes()}))
    for mark, place in ((b"PK\x03\x04", 14), (b"PK\x01\x02", 16)):
        at = content.find(mark)
        while at >= 0:
            content[at + place : at + place + 4] = bytes(4)
            at = content.find(mark, at + 4)
    np.testing.assert_array_equal(read(tmp_path, bytes(content))["w"], ROW)


@pytest.mark.parametrize("name", ["net.pth.tar", "net.TAR", "net.th", "net.pkl", "net.PTH"])
def test_other_endings(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(by_hand.zipped(one((12,), (1,)), {"0": ROW.tobytes()}))
    np.testing.assert_array_equal(weights.read(path)["w"], ROW)
    with tarfile.open(tmp_path / "true.pth.tar", "w") as archive:
        archive.add(path, "net.pth")
    for archive, reason in (("true.pth.tar", "a tar archive: unpack it"), ("x.tar", "gzip")):
        if reason == "gzip":
            (tmp_path / archive).write_bytes(gzip.compress(path.read_bytes()))
        with pytest.raises(ValueError, match=reason):
            weights.read(tmp_path / archive)


def with_member(name: str, content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(name, content)
    return out.getvalue()


SOUND = by_hand.zipped(one((12,), (1,)), {"0": ROW.tobytes()})
OLD = by_hand.legacy(one((12,), (1,)), {"0": ROW})


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"no weights at all", "neither a zip archive nor a pickle"),
        (SOUND[: len(SOUND) // 2], "cut off"),
        (SOUND.replace(ROW.tobytes(), ROW[::-1].tobytes()), "damaged"),
        (with_member("word/document.xml", b"text"), "no checkpoint"),
        (by_hand.zipped(one((12,), (1,)), {}), "no data/0"),
        (by_hand.zipped(one((12,), (1,)), {"0": ROW[:5].tobytes()}), "cut off"),
        (by_hand.zipped(one((12,), (1,)), {"0": ROW.tobytes()}, "middle"), "byte order"),
        (by_hand.zipped(one((12,), (1,)), {"0": bytes(48)}, compression=8), "compressed"),
        (by_hand.zipped(one((13,), (1,)), {"0": ROW.tobytes()}), "does not fit"),
        (by_hand.zipped(one((3,), (1,), offset=10), {"0": ROW.tobytes()}), "does not fit"),
        (by_hand.zipped(one((-3,), (1,)), {"0": ROW.tobytes()}), "size"),
        (by_hand.zipped(one((3,), (-1,), offset=5), {"0": ROW.tobytes()}), "stride"),
        (by_hand.zipped(one((1 << 20, 1 << 20), (0, 0)), {"0": ROW.tobytes()}), "repeats"),
        (by_hand.zipped(by_hand.number(7), {}), "but of type int"),
        (by_hand.zipped(b"}", {}), "no tensor"),
        (by_hand.zipped(b"}q\x00" + by_hand.text("a") + b"h\x00s", {}), "twice"),
        (by_hand.zipped(b"}(((tttu", {}), "damaged"),
        (OLD[:-1], "cut off"),
        (OLD[:-52], "cut off"),
        (OLD[:60], "damaged"),
        (pickle.dumps({"a": 1}, 2), "none of PyTorch's"),
        (pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(7, 2), "protocol"),
    ],
)
def test_what_is_no_sound_file_ends_in_one_line(tmp_path, content, reason):
    with pytest.raises(ValueError, match=reason) as caught:
        read(tmp_path, content)
    assert "\n" not in str(caught.value) and str(tmp_path / "weights.pth") in str(caught.value)


def test_equals_pytorch(tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x = torch.arange(24.0).reshape(2, 3, 4)
    tree = {
        "a": x.permute(2, 0, 1)[1:],
        "nested": {"p": torch.nn.Parameter(x), "b": x.bfloat16()[1], "flags": x > 3},
        "n": 3,
        "state": torch.nn.BatchNorm1d(3).state_dict(),
    }
    for new in (True, False):
        path = tmp_path / f"{new}.pth"
        torch.save(tree, path, _use_new_zipfile_serialization=new)
        arrays = torch_file.read(path)
        np.testing.assert_array_equal(arrays["a"], tree["a"].numpy())
        np.testing.assert_array_equal(arrays["nested.p"], x.numpy())
        np.testing.assert_array_equal(arrays["nested.b"].astype(np.float32), x[1].numpy())
        np.testing.assert_array_equal(arrays["nested.flags"], (x > 3).numpy())
        assert arrays["state.num_batches_tracked"].dtype == np.int64
