"""Pictures of the card at every scale from one source: sharp, centred, at the sizes of Apple's guidelines.

Implements the Human Interface Guidelines of June 2026 in points: icon 38x38, logo within 160x50, strip 375x144, each at
1x, 2x and 3x. A logo keeps its shape and fits in; an icon and a strip fill their frame and lose what sticks out. Older
telephones show the middle 123 points of the strip's height. Sources are large enough: the check of the rules says so.
Same bytes in, same bytes out.
"""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO

from PIL import Image, ImageOps, UnidentifiedImageError

from wallet.errors import ImageError
from wallet.pictures import PNG_SIGNATURE

POINTS = {"icon": (38, 38), "logo": (160, 50), "strip": (375, 144)}
SCALES = (1, 2, 3)
STRIP_SAFE_HEIGHT = 123
MAX_SOURCE_PIXELS = 25_000_000

_FITTED = "logo"


def file_name(kind: str, scale: int) -> str:
    return f"{kind}.png" if scale == 1 else f"{kind}@{scale}x.png"


def every_scale(kind: str, source: bytes) -> dict[str, bytes]:
    """The picture at 1x, 2x and 3x as PNG files. Raises ImageError."""
    picture = _opened(kind, source)
    return {file_name(kind, scale): _png(_framed(picture, kind, scale)) for scale in SCALES}


def with_lower_scales(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Files that are used as they are (a JPEG becomes a PNG), and the scales that are missing below the largest one.
    Raises ImageError."""
    done = {name: _as_png(name, data) for name, data in files.items()}
    for kind in POINTS:
        given = [scale for scale in SCALES if file_name(kind, scale) in files]
        if not given or given == [1]:
            continue
        largest = files[file_name(kind, max(given))]
        for scale in range(1, max(given)):
            if scale not in given:
                done[file_name(kind, scale)] = _png(_framed(_opened(kind, largest), kind, scale))
    return done


def _as_png(name: str, data: bytes) -> bytes:
    return data if data.startswith(PNG_SIGNATURE) else _png(_opened(name, data))


def _opened(kind: str, source: bytes) -> Image.Image:
    try:
        with Image.open(BytesIO(source), formats=("PNG", "JPEG")) as image:
            if image.width * image.height > MAX_SOURCE_PIXELS:
                raise ImageError(f"картинка {kind} слишком велика: уменьшите её")
            upright = ImageOps.exif_transpose(image)
            has_alpha = upright.mode in ("LA", "PA", "RGBA") or "transparency" in upright.info
            return upright.convert("RGBA" if has_alpha else "RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ImageError(f"картинка {kind} не открывается: сохраните её в PNG заново") from error


def _framed(picture: Image.Image, kind: str, scale: int) -> Image.Image:
    width, height = POINTS[kind][0] * scale, POINTS[kind][1] * scale
    if kind == _FITTED:
        share = min(width / picture.width, height / picture.height)
        size = max(1, round(picture.width * share)), max(1, round(picture.height * share))
        return picture.resize(size, Image.Resampling.LANCZOS)
    return ImageOps.fit(picture, (width, height), Image.Resampling.LANCZOS)


def _png(picture: Image.Image) -> bytes:
    """Without the source's notes: a photo may say where it was taken."""
    file = BytesIO()
    bare = Image.frombytes(picture.mode, picture.size, picture.tobytes())
    bare.save(file, "PNG", optimize=True)
    return file.getvalue()
