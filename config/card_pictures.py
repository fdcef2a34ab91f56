"""Is a picture file fit for the card: its format, its size, that it opens.

Owns the sizes of Apple's guidelines of June 2026 in points (icon 38x38, logo within 160x50, strip 375x144, each at 1x,
2x and 3x) as far as a check needs them. Resizes nothing: that is the wallet's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from config.fields import FieldError
from config.masking import quote
from config.secret_fields import is_file

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

    from config.section import Section

KINDS = ("icon", "logo", "strip")
SCALES = {"": 1, "@2x": 2, "@3x": 3}
POINTS = {"icon": (38, 38), "logo": (160, 50), "strip": (375, 144)}
SOURCE_SCALE = 3
"""A picture given once must do for the sharpest screen."""
MAX_IMAGE_BYTES = 10 * 1024 * 1024
MAX_IMAGE_PIXELS = 25_000_000
MAX_READY_BYTES = 1024 * 1024  # a picture that goes into every card as it is
MIN_KEPT = 0.75  # of a picture cut to its frame
LOGO_SHAPES = (0.5, 4.8)  # width to height; beyond them hardly anything is left of it

_PATH_FIX = "проверьте путь: он считается от папки файла правил"
_EIGHT_BIT_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
_NAMES = {"icon": "значок", "logo": "логотип", "strip": "полоса"}


@dataclass(frozen=True)
class _Size:
    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}×{self.height}"


def read_images(section: Section, folder: Path) -> dict[str, Path]:
    """The pictures by their names in the file; one named without a scale, alone of its kind, is a source for all."""
    found: dict[str, Path] = {}
    for kind in KINDS:
        names = [f"{kind}{scale}" for scale in SCALES if f"{kind}{scale}" in section]
        for name in names:
            scale = SOURCE_SCALE if names == [kind] else SCALES[name.removeprefix(kind)]
            check = partial(_picture, folder=folder, kind=kind, scale=scale, is_source=names == [kind])
            picture = section.get(name, check, None)
            if picture is not None:
                found[name], size = picture
                _warn_of_shape(section, name, kind, size)
    return found


def _picture(text: str, *, folder: Path, kind: str, scale: int, is_source: bool) -> tuple[Path, _Size]:
    path = (folder / text).absolute()
    if not is_file(path):
        raise FieldError("file-missing", f"файла {quote(text)} нет", _PATH_FIX)
    size = _opened(path)
    if not is_source and path.stat().st_size > MAX_READY_BYTES:
        fix = f"уменьшите его до {MAX_READY_BYTES // 1024} КБ"
        raise FieldError("picture-huge", "файл войдёт в каждую карту как есть и слишком тяжёл", fix)
    needed = _Size(POINTS[kind][0] * scale, POINTS[kind][1] * scale)
    widths, heights = size.width / needed.width, size.height / needed.height
    is_small = max(widths, heights) < 1 if kind == "logo" else min(widths, heights) < 1
    if is_small:
        words = f"{needed.width} в ширину или {needed.height} в высоту" if kind == "logo" else f"{needed}"
        message = f"{_NAMES[kind]} {size}: мало точек, на чётком экране расплывётся"
        raise FieldError("picture-small", message, f"нужно не меньше {words} точек")
    return path, size


def _opened(path: Path) -> _Size:
    """The size of a picture that was read to its end. Pillow is imported only where there is a picture."""
    from PIL import Image, UnidentifiedImageError  # noqa: PLC0415

    if path.stat().st_size > MAX_IMAGE_BYTES:
        fix = f"сохраните его до {MAX_IMAGE_BYTES // 1024 // 1024} МБ"
        raise FieldError("picture-huge", "файл слишком велик", fix)
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as image:
            _check(image)
            image.load()
            return _turned(image)
    except UnidentifiedImageError as error:
        raise FieldError("picture-format", "это не картинка PNG или JPEG", "сохраните её в PNG") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise FieldError("picture-huge", "в картинке слишком много пикселей", "уменьшите её") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:  # Pillow tells a broken PNG by SyntaxError
        raise FieldError("picture-broken", "картинка испорчена и не открывается", "сохраните её заново") from error


def _check(image: ImageFile) -> None:
    if image.width * image.height > MAX_IMAGE_PIXELS:
        message = f"{image.width}×{image.height}: слишком много пикселей"
        raise FieldError("picture-huge", message, f"уменьшите её до {MAX_IMAGE_PIXELS // 1_000_000} мегапикселей")
    # A photo of a telephone may hold a second, smaller one and is no animation.
    if image.format == "PNG" and getattr(image, "is_animated", False):
        raise FieldError("picture-animated", "картинка движется, а карта стоит на месте", "сохраните один кадр")
    if image.mode not in _EIGHT_BIT_MODES:
        raise FieldError("picture-format", "в картинке больше восьми бит на цвет", "сохраните её в обычном PNG")


def _turned(image: ImageFile) -> _Size:
    """As it will be seen: cameras write how they were held."""
    turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
    return _Size(image.height, image.width) if turned else _Size(image.width, image.height)


def _warn_of_shape(section: Section, name: str, kind: str, size: _Size) -> None:
    shape, wanted = size.width / size.height, POINTS[kind][0] / POINTS[kind][1]
    place = section.at(name)
    if kind == "logo":
        if not LOGO_SHAPES[0] <= shape <= LOGO_SHAPES[1]:
            message = f"логотип {size} слишком вытянут: на карте от него останется полоска"
            section.notes.warn(place, "picture-shape", message, "возьмите логотип, близкий к 160×50")
    elif (kept := min(shape / wanted, wanted / shape)) < MIN_KEPT:
        message = f"{_NAMES[kind]} {size}: в рамку {_Size(*POINTS[kind])} войдёт {round(kept * 100)} % картинки"
        section.notes.warn(place, "picture-shape", message, "обрежьте картинку под эту рамку сами")
