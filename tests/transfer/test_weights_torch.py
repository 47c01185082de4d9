"""PyTorch's files without PyTorch: right numbers from sound ones, one clear line from others."""

import io
import pickle
import zipfile

import ml_dtypes
import numpy as np
import pytest

from dljax.transfer import torch_file
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
