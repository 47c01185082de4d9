"""PyTorch's file formats written by hand, so that the tests of their reader need no PyTorch."""

import io
import pickle
import struct
import zipfile

import numpy as np

KINDS = {"float32": "FloatStorage", "float16": "HalfStorage", "uint16": "BFloat16Storage",
         "int64": "LongStorage", "complex64": "ComplexFloatStorage"}  # fmt: skip


def text(value: str) -> bytes:
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def numbers(values) -> bytes:
    return b"(" + b"".join(number(v) for v in values) + b"t"


def tensor(key: str, kind: str, count: int, offset: int, size, stride, meaning=()) -> bytes:
    """The opcodes of torch._utils._rebuild_tensor_v2(storage, offset, size, stride, False, {}).

    meaning: names of properties, a dictionary of which follows ("neg", "conj").
    """
    storage = b"(" + text("storage") + f"ctorch\n{kind}\n".encode() + text(key) + text("cpu")
    storage += number(count) + b"tQ"
    arguments = b"(" + storage + number(offset) + numbers(size) + numbers(stride) + b"\x89}"
    arguments += (mapping({name: b"\x88" for name in meaning}) if meaning else b"") + b"t"
    return b"ctorch._utils\n_rebuild_tensor_v2\n" + arguments + b"R"


def mapping(items: dict[str, bytes]) -> bytes:
    """A dictionary of values that are opcodes already."""
    return b"}(" + b"".join(text(key) + value for key, value in items.items()) + b"u"


def program(body: bytes) -> bytes:
    return b"\x80\x02" + body + b"."


def zipped(body: bytes, storages: dict[str, bytes], byteorder: str | None = None, **more) -> bytes:
    """A zip file as torch.save writes it since 1.6."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", more.get("compression", zipfile.ZIP_STORED)) as archive:
        archive.writestr("archive/data.pkl", program(body))
        if byteorder:
            archive.writestr("archive/byteorder", byteorder)
        for key, content in storages.items():
            archive.writestr(f"archive/data/{key}", content)
    return out.getvalue()


def legacy(body: bytes, storages: dict[str, np.ndarray], little: bool = True) -> bytes:
    """A file as torch.save wrote it before."""
    order = "<" if little else ">"
    system = {"protocol_version": 1001, "little_endian": little, "type_sizes": {}}
    head = [pickle.dumps(x, 2) for x in (0x1950A86A20F9469CFC6C, 1001, system)]
    rows = b"".join(
        struct.pack(f"{order}q", x.size) + x.astype(x.dtype.newbyteorder(order)).tobytes()
        for x in storages.values()
    )
    return b"".join([*head, program(body), pickle.dumps(list(storages), 2), rows])


def state(arrays: dict[str, np.ndarray]) -> tuple[bytes, dict[str, bytes]]:
    """Opcodes of a dictionary of contiguous arrays, and the storages' bytes."""
    items, storages = {}, {}
    for key, (name, x) in enumerate(arrays.items()):
        x = np.ascontiguousarray(x)
        strides = [s // x.itemsize for s in x.strides]
        items[name] = tensor(str(key), KINDS[str(x.dtype)], x.size, 0, x.shape, strides)
        storages[str(key)] = x.tobytes()
    return mapping(items), storages
