#!/bin/sh
# Pillow 11.3.0, a grey PNG of 2 bits with a transparent level (tRNS): the pixels are spread over
# 0..255 when they are decoded, the transparent level is not. Expected: level 1 is transparent, alpha
# 0 there and 255 elsewhere, as the PNG specification says. Seen: no pixel is transparent.
#   levels 0 1 2 3 -> alpha [255, 255, 255, 255]
# Exits 1 if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q pillow==11.3.0
"$folder/venv/bin/python" - <<'PYTHON'
import io
import struct
import sys
import zlib

from PIL import Image


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 1, 2, 0, 0, 0, 0))
png += chunk(b"tRNS", struct.pack(">H", 1))
png += chunk(b"IDAT", zlib.compress(bytes([0, 0b00011011]))) + chunk(b"IEND", b"")
image = Image.open(io.BytesIO(png))
alpha = list(image.convert("RGBA").getchannel("A").getdata())
print("levels 0 1 2 3 -> alpha", alpha)
sys.exit(alpha != [255, 255, 255, 255])
PYTHON
