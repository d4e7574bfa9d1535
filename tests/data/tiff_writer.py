"""TIFFs that neither Pillow nor tifffile writes: 16-bit samples, compressed by LZW."""

import struct
import zlib


def encode_lzw(data):
    """Encode as single bytes of nine bits; the table is cleared before it would need ten."""
    codes = [c for k, byte in enumerate(data) for c in ((256, byte) if k % 200 == 0 else (byte,))]
    bits = "".join(f"{code:09b}" for code in [*codes, 257])
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


ENCODERS = {1: bytes, 5: encode_lzw, 8: zlib.compress}


def write_tiff(path, array, compression=1, order="<", planar=1, extra=None):
    """Write (h, w, s); grey for fewer than 3 samples. extra: meaning of the last sample."""
    h, w, s = array.shape
    stored = array.astype(array.dtype.newbyteorder(order))
    strips = [stored] if planar == 1 else [stored[..., k] for k in range(s)]
    strips = [ENCODERS[compression](strip.tobytes()) for strip in strips]
    starts = [8 + sum(map(len, strips[:k])) for k in range(len(strips) + 1)]
    end = starts.pop()
    short, long = ("H", 3), ("I", 4)
    bits = [array.dtype.itemsize * 8] * s
    tags = [(256, short, [w]), (257, short, [h]), (258, short, bits), (259, short, [compression])]
    tags += [(262, short, [2 if s > 2 else 1]), (273, long, starts), (277, short, [s])]
    tags += [(278, short, [h]), (279, long, list(map(len, strips))), (284, short, [planar])]
    tags += [(338, short, [extra])] if extra is not None else []
    directory, values, place = struct.pack(f"{order}H", len(tags)), b"", end + 6 + 12 * len(tags)
    for tag, (letter, kind), numbers in tags:
        content = struct.pack(f"{order}{len(numbers)}{letter}", *numbers)
        directory += struct.pack(f"{order}HHI", tag, kind, len(numbers))
        if len(content) > 4:
            directory += struct.pack(f"{order}I", place + len(values))
            values += content
        else:
            directory += content.ljust(4, b"\0")
    mark = b"II*\0" if order == "<" else b"MM\0*"
    start = struct.pack(f"{order}I", end)
    path.write_bytes(mark + start + b"".join(strips) + directory + bytes(4) + values)
