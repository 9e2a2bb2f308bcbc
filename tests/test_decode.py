"""One image to pixels: as a viewer shows it, or refused by name; never something else."""

import hashlib
import io
import shutil
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from datasets.errors import DatasetError
from datasets.files.decode import RULES, decode, longer_side

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (16, 16, 3), np.uint8)


def saved(image, kind="PNG", **options):
    file = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(file, kind, **options)
    return file.getvalue()


def pixels(content, size=16):
    return decode(("x", content), size, exact=True)


def refusal(content):
    with pytest.raises(DatasetError) as caught:
        decode(("a/b.png", content), 16, exact=False)
    message = str(caught.value)
    assert message.startswith("a/b.png: ")
    assert "\n" not in message
    return message


def chunk(kind, data):
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def png(width, height, bits, colour, raw, *chunks):
    """A PNG made by hand; Pillow writes no 16 bits of colour."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    body = [*chunks, chunk(b"IDAT", zlib.compress(raw)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(body)


def tiff(values, code, bits, photometric=1, sample_format=1, order="<"):
    """A TIFF of one row of grey levels, made by hand: Pillow writes few kinds."""
    data = (
        values if isinstance(values, bytes) else struct.pack(f"{order}{len(values)}{code}", *values)
    )
    width = len(data) * 8 // bits
    tags = [(256, 4, width), (257, 4, 1), (258, 3, bits), (259, 3, 1), (262, 3, photometric)]
    tags += [(273, 4, 8 + 2 + 12 * 10 + 4), (277, 3, 1), (278, 4, 1), (279, 4, len(data))]
    tags += [(339, 3, sample_format)]
    file = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HIH", 42, 8, len(tags))
    for tag, kind, value in tags:
        shown = struct.pack(
            f"{order}I" if kind == 4 else f"{order}HH", *([value] + [0] * (kind == 3))
        )
        file += struct.pack(f"{order}HHI", tag, kind, 1) + shown
    return file + bytes(4) + data


def grey(content, width):
    """Grey levels of an image of one row, shown as high as it is wide."""
    found = decode(("x", content), width, exact=False)
    assert (found == found[:1, :, :1]).all()
    return found[0, :, 0].tolist()


# ---- upright

QUARTERS = np.zeros((16, 16, 3), np.uint8)
QUARTERS[:8, :8], QUARTERS[:8, 8:], QUARTERS[8:, :8] = (255, 0, 0), (0, 255, 0), (0, 0, 255)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "MPO"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_photo_is_set_upright(orientation, kind):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    content = saved(QUARTERS, kind, exif=exif, **options)
    shown = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB"))
    assert np.array_equal(pixels(content), shown)
    plain = np.asarray(Image.open(io.BytesIO(saved(QUARTERS, kind, **options))).convert("RGB"))
    assert (orientation == 1) == np.array_equal(shown, plain)


def test_a_turned_photo_has_the_height_that_it_shows():
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = decode(("x", saved(NOISE[:8], exif=exif)), 16, exact=False)
    assert np.array_equal(upright, decode(("x", saved(np.rot90(NOISE[:8], -1))), 16, exact=False))


@pytest.mark.parametrize("exif", [b"Exif\0\0MM\0*", b"no exif", b"Exif\0\0" + RNG.bytes(99)])
def test_a_broken_note_on_orientation_says_nothing(exif):
    assert np.array_equal(pixels(saved(NOISE, exif=exif)), NOISE)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_says_nothing(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert np.array_equal(pixels(saved(NOISE, exif=exif)), NOISE)


# ---- over white


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_colour_that_nobody_sees_is_white(mode):
    alpha = np.zeros((16, 16), np.uint8)
    alpha[4:12, 4:12] = 255
    cut = Image.fromarray(np.dstack([NOISE, alpha]))
    expected = np.where(alpha[..., None] == 0, 255, NOISE)
    if mode == "LA":
        cut = cut.convert("LA")
        expected = np.where(alpha[..., None] == 0, 255, np.asarray(cut)[..., :1])
    if mode == "P":
        plain = Image.fromarray((np.arange(256) % 2).reshape(16, 16).astype(np.uint8), "P")
        plain.putpalette([10, 20, 30, 40, 50, 60])
        content = saved(plain, transparency=1)
        expected = np.where((np.arange(256) % 2).reshape(16, 16, 1), 255, [10, 20, 30])
    else:
        content = saved(cut)
    assert np.array_equal(pixels(content), np.broadcast_to(expected, (16, 16, 3)))


def test_half_transparent_colour_is_mixed_with_white():
    half = np.full((16, 16, 4), (255, 0, 100, 51), np.uint8)
    assert pixels(saved(half))[0, 0].tolist() == [255, 204, 224]


def test_an_opaque_layer_changes_nothing():
    opaque = np.dstack([NOISE, np.full((16, 16), 255, np.uint8)])
    assert np.array_equal(pixels(saved(opaque)), NOISE)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF", "TGA", "AVIF"])
def test_transparency_of_every_format_is_seen(kind):
    cut = np.zeros((16, 16, 4), np.uint8)
    cut[4:12, 4:12] = (200, 0, 0, 255)
    found = pixels(saved(cut, kind, **({"lossless": True} if kind == "WEBP" else {})))
    assert found[0, 0].tolist() == [255, 255, 255]
    assert np.abs(found[8, 8].astype(int) - (200, 0, 0)).max() <= 3


@pytest.mark.parametrize(
    ("content", "width", "levels"),
    [
        (saved(np.array([[0, 100, 255]], np.uint8), transparency=0), 3, [255, 100, 255]),
        (saved(np.array([[0, 25700, 65535]], np.uint16), transparency=0), 3, [255, 100, 255]),
        (png(2, 1, 16, 4, struct.pack(">x4H", 0, 0, 25700, 65535)), 2, [255, 100]),
        (
            png(2, 1, 16, 2, struct.pack(">x6H", *[300] * 3, *[25700] * 3),
                chunk(b"tRNS", struct.pack(">3H", *[300] * 3))),
            2,
            [255, 100],
        ),
    ],
    ids=["8 bits", "16 bits", "a layer of 16 bits", "colour of 16 bits"],
)  # fmt: skip
def test_one_level_may_be_transparent(content, width, levels):
    assert grey(content, width) == levels


# ---- grey of many bits


@pytest.mark.parametrize(
    ("content", "levels"),
    [
        (saved(np.array([[0, 25700, 65535]], np.uint16)), [0, 100, 255]),
        (tiff([0, 25700, 65535], "H", 16), [0, 100, 255]),
        (tiff([0, 25700, 65535], "H", 16, order=">"), [0, 100, 255]),
        (tiff([65535, 39835, 0], "H", 16, photometric=0), [0, 100, 255]),
        (tiff(bytes([0x00, 0x06, 0x46, 0xFF, 0xF0, 0x00]), "", 12), [0, 100, 255, 0]),
        (b"P5 3 1 65535\n" + struct.pack(">3H", 0, 25700, 65535), [0, 100, 255]),
        (b"P5 3 1 4095\n" + struct.pack(">3H", 0, 1606, 4095), [0, 100, 255]),
        (b"P5 3 1 51\n" + bytes([0, 20, 51]), [0, 100, 255]),
        (tiff(bytes([0, 155, 255]), "", 8, photometric=0), [255, 100, 0]),
    ],
    ids=["png", "tiff", "big end", "zero is white", "12 bits", "pgm", "pgm 4095", "pgm 51", "8"],
)
def test_grey_of_any_depth_is_scaled_and_not_clipped(content, levels):
    assert grey(content, len(levels)) == levels


@pytest.mark.parametrize(
    "content",
    [
        saved(np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16), "TIFF"),
        saved(np.arange(256, dtype=np.int32).reshape(16, 16) * 1000, "TIFF"),
        tiff([2**32 - 1, 0], "I", 32),
        tiff([-5, 100], "h", 16, sample_format=2),
        tiff([0.5, 1.0], "f", 32, sample_format=3),
        b"Pf 1 1 -1.0\n" + struct.pack("<f", 0.5),
    ],
    ids=["float", "int", "unsigned", "signed 16", "float by hand", "pfm"],
)
def test_grey_without_a_known_white_is_refused(content):
    assert "has no known white; save it with 8 or 16 bits" in refusal(content)


# ---- what is no image, or not read


@pytest.mark.parametrize(
    "content",
    [
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
        b"a text that somebody renamed",
        b"\0" * 500,
        saved(NOISE, "ICO"),
        saved(NOISE, "PCX"),
        saved(NOISE, "PDF"),
        saved(NOISE, "EPS"),
    ],
    ids=["eps", "svg", "text", "zeros", "ico", "pcx", "pdf", "eps of pillow"],
)
def test_only_the_formats_of_the_list_are_images(content, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: pytest.fail(f"looks for {name}"))
    assert "not an image (JPEG, PNG, GIF, WEBP, BMP, TIFF, PPM, JPEG2000, AVIF" in refusal(content)
    assert longer_side(("x", content)) is None


def test_the_content_and_not_the_name_says_the_format(tmp_path):
    (tmp_path / "x.png").write_bytes(saved(NOISE, "BMP"))
    assert np.array_equal(decode(("x.png", tmp_path / "x.png"), 16, exact=True), NOISE)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_large_image_is_too_large_and_not_corrupt(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert "too large, more than 200 pixels; scale it down" in refusal(saved(NOISE))
    assert longer_side(("x", saved(NOISE))) is None
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200)  # Pillow warns from here on
    assert np.array_equal(pixels(saved(NOISE)), NOISE)
    assert longer_side(("x", saved(NOISE))) == 16


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (png(60_000, 60_000, 8, 2, b""), "too large"),
        (b"P6\n99999999999 2\n255\n", "corrupt image ("),
        (b"P6\n16 16\n0\n", "corrupt image (maxval must be"),
        (png(1, 1, 8, 0, b"\0\0", chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(2**21)))),
         "corrupt image (Decompressed data too large"),
        (saved(NOISE)[:-400], "corrupt image"),
        (saved(NOISE, "GIF")[:-200], "corrupt image"),
        (None, "has no image bytes"),
    ],
    ids=["a bomb", "a long number", "no levels", "a large text", "half", "half a gif", "nothing"],
)  # fmt: skip
def test_what_pillow_refuses_is_one_bad_image(content, words):
    assert words in refusal(content)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    for path in (tmp_path, tmp_path / "none", tmp_path / "a\0b", tmp_path / ("a" * 300)):
        assert "cannot be read (" in refusal(path)
        assert longer_side(("x", path)) is None


def test_no_memory_is_no_fault_of_the_image(monkeypatch):
    def full(self):
        raise MemoryError

    content = saved(NOISE)
    monkeypatch.setattr(Image.Image, "getexif", lambda self: full(self))
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", full)
    with pytest.raises(MemoryError):
        pixels(content)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "GIF", "PPM", "TGA", "JPEG", "WEBP"])
def test_an_image_with_wrong_bytes_is_read_or_refused_by_name(kind):
    whole = saved(NOISE, kind)
    for _ in range(150):
        content = bytearray(whole)
        for place in RNG.integers(0, len(whole), 3):
            content[place] = RNG.integers(256)
        try:
            shape = decode(("x", bytes(content)), 8, exact=False).shape
        except DatasetError as error:
            shape = str(error)[:3]
        assert shape in ((8, 8, 3), "x: ")


def test_what_pillow_warns_of_is_not_shown(tmp_path):
    exif = b"Exif\0\0II*\0\x08\0\0\0\x05\0"  # it ends in the middle
    (tmp_path / "x.png").write_bytes(saved(NOISE, exif=exif))
    code = (
        "import sys; from pathlib import Path; from PIL import Image; "
        "from datasets.files.decode import decode; Image.MAX_IMAGE_PIXELS = 200; "
        "decode(('x', Path(sys.argv[1])), 16, exact=True)"
    )
    told = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "x.png")], capture_output=True, check=True
    )
    assert told.stderr == b""


# ---- the rules have a number


def test_other_values_need_another_number_of_the_rules():
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    exif = Image.Exif()
    exif[0x0112] = 6
    contents = [
        saved(NOISE),
        saved(NOISE[:9], exif=exif),
        saved(np.dstack([NOISE, ramp])),
        saved(ramp, transparency=7),
        saved(ramp.astype(np.uint16) * 257, "TIFF"),
        saved(Image.fromarray(NOISE).convert("CMYK"), "TIFF"),
        saved(NOISE, "BMP"),
        saved(np.repeat(np.repeat(NOISE, 3, 0), 2, 1), "PPM"),
    ]
    made = b"".join(decode(("x", content), 12, exact=False).tobytes() for content in contents)
    assert (RULES, hashlib.sha256(made).hexdigest()[:16]) == ("2", "eb767b3404e1da6b")
