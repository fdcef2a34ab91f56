"""Pictures for the tests of the card's look."""

from __future__ import annotations

from io import BytesIO

from PIL import Image, ImageDraw


def picture(size: tuple[int, int], kind: str = "PNG", *, colour: str = "#C0392B", mode: str = "RGB") -> bytes:
    """A plain picture with a white cross in its middle, so that a shifted centre is seen."""
    made = Image.new(mode, size, colour)
    draw = ImageDraw.Draw(made)
    width, height = size
    draw.rectangle((width * 0.4, 0, width * 0.6, height), fill="white")
    draw.rectangle((0, height * 0.4, width, height * 0.6), fill="white")
    return saved(made, kind)


def saved(made: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = BytesIO()
    made.save(file, kind, **options)  # type: ignore[arg-type]
    return file.getvalue()


def opened(data: bytes) -> Image.Image:
    found = Image.open(BytesIO(data))
    found.load()
    return found
