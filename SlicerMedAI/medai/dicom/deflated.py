"""DICOM files whose whole data set is deflated: how large they unfold, found out before pydicom unfolds them."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import BinaryIO

from medai.errors import ReadError

_SYNTAX = b"1.2.840.10008.1.2.1.99"  # Deflated Explicit VR Little Endian (DICOM PS3.5 A.5)
_LONG = (b"OB", b"OW", b"SQ", b"UN", b"UT")  # their lengths take four bytes, after two that are reserved
_ALWAYS_FINE = 1 << 26
_MOST_TIMES = 200  # images deflate two- to tenfold, empty masks a hundredfold
_PIECE = 1 << 18


def check_deflated(file: Path) -> None:
    """Refuse a file that unfolds to far more than any image does.

    Raises
    ------
    ReadError
        When it does; found out piece by piece, so that it costs no memory.
    """
    with file.open("rb") as stream:
        if not _is_deflated(stream):
            return
        most = max(_ALWAYS_FINE, _MOST_TIMES * file.stat().st_size)
        inflate, unfolded, piece = zlib.decompressobj(-zlib.MAX_WBITS), 0, b""
        try:
            while (piece := inflate.unconsumed_tail or stream.read(_PIECE)) and not inflate.eof:
                unfolded += len(inflate.decompress(piece, _PIECE))
                if unfolded > most:
                    raise ReadError(
                        f"The DICOM file '{file.name}' is not a usable image.",
                        "It is compressed, and unfolds to far more than any image holds.",
                        "Export the series again, uncompressed.",
                    )
        except zlib.error:
            return  # damaged, which pydicom finds as well


def _is_deflated(stream: BinaryIO) -> bool:
    """Whether the meta header, group 0002, names the deflated syntax. Leaves the stream behind that header."""
    if stream.read(132)[128:] != b"DICM":
        return False
    deflated = False
    while True:
        start = stream.tell()
        head = stream.read(8)
        if len(head) < 8 or head[:2] != b"\x02\x00":
            stream.seek(start)
            return deflated
        long = head[4:6] in _LONG
        length = struct.unpack("<I", stream.read(4).ljust(4, b"\0"))[0] if long else struct.unpack("<H", head[6:])[0]
        value = stream.read(min(length, 1 << 16))
        if head[2:4] == b"\x10\x00":
            deflated = value.rstrip(b"\0 ") == _SYNTAX
