"""Draws simple scenes (shapes, objects, settings) with Pillow, and says what is in them.

    render_scene("a red circle", seed=1)                      a PIL picture
    render_scene("a blue car in the snow", seed=2, size=(640, 480))

Words are those of COLOURS, SHAPES, OBJECTS and SETTINGS; what the words leave open is drawn at random from the seed.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image, ImageChops, ImageDraw, ImageFilter

Colour = tuple[int, int, int]
COLOURS: dict[str, Colour] = {
    "red": (214, 32, 32), "green": (40, 160, 60), "blue": (36, 80, 214), "yellow": (242, 214, 36),
    "orange": (245, 138, 24), "purple": (130, 48, 170), "pink": (248, 140, 190), "white": (246, 246, 246),
    "black": (22, 22, 22),
}  # fmt: skip
SETTINGS = ("at night", "in the snow", "on the sea", "in a meadow")
BROWN: Colour = (120, 78, 44)
SKIN: Colour = (238, 196, 160)


@dataclass(frozen=True)
class Scene:
    """What is to be seen; None where it does not matter (or where the thing has its own colours)."""

    thing: str
    colour: str | None = None
    setting: str | None = None

    def caption(self) -> str:
        words = " ".join(word for word in (self.colour, self.thing) if word)
        article = "an" if words[0] in "aeiou" else "a"
        return " ".join(part for part in (article, words, self.setting) if part)


def parse_scene(words: str) -> Scene:
    """The scene a caption describes. Raises ValueError where it names no thing that can be drawn."""
    found = words.lower().replace(",", " ").split()
    things = [word for word in found if word in THINGS]
    if not things:
        raise ValueError(f"no thing to draw in {words!r}; there are {', '.join(THINGS)}")
    colour = next((word for word in found if word in COLOURS), None)
    setting = next((setting for setting in SETTINGS if setting in words.lower()), None)
    return Scene(things[0], colour if things[0] in COLOURABLE else None, setting)


def render_scene(described: str | Scene, seed: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """The scene as an RGB picture of `size` (width, height), the same for the same seed on every machine."""
    scene = parse_scene(described) if isinstance(described, str) else described
    rng = random.Random(f"{scene.caption()} {seed}")
    colour = scene.colour or (rng.choice(list(COLOURS)) if scene.thing in COLOURABLE else None)
    canvas = (size[0] * 2, size[1] * 2)
    picture = _background(rng, canvas, scene.setting, COLOURS.get(colour or ""))
    short = min(canvas)
    radius = short * rng.uniform(0.3, 0.45)
    reach = min(max(0.0, short * 0.48 - radius), short * 0.08)
    centre = (canvas[0] / 2 + rng.uniform(-reach, reach), canvas[1] / 2 + rng.uniform(-reach, reach))
    pen = Pen(ImageDraw.Draw(picture), centre, radius, rng.uniform(-0.15, 0.15) if scene.thing in SHAPES else 0.0)
    THINGS[scene.thing](pen, _shade(rng, COLOURS.get(colour or "", (128, 128, 128))))
    return picture.resize(size, Image.Resampling.BOX)


class Pen:
    """Draws in units of the thing's radius around its centre, y downwards, turned by `angle` (radians)."""

    def __init__(
        self, draw: ImageDraw.ImageDraw, centre: tuple[float, float], radius: float, angle: float = 0.0
    ) -> None:
        self.draw, self.centre, self.radius, self.angle = draw, centre, radius, angle

    def at(self, x: float, y: float) -> tuple[float, float]:
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        return (self.centre[0] + self.radius * (x * cos - y * sin), self.centre[1] + self.radius * (x * sin + y * cos))

    def shape(self, points: Sequence[tuple[float, float]], colour: Colour) -> None:
        self.draw.polygon([self.at(*point) for point in points], fill=colour)

    def box(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        self.shape([(left, top), (right, top), (right, bottom), (left, bottom)], colour)

    def disc(self, x: float, y: float, rx: float, colour: Colour, ry: float | None = None) -> None:
        ry = rx if ry is None else ry
        turns = [2 * math.pi * step / 48 for step in range(48)]
        self.shape([(x + rx * math.cos(turn), y + ry * math.sin(turn)) for turn in turns], colour)

    def line(self, points: Sequence[tuple[float, float]], width: float, colour: Colour) -> None:
        thick = max(1, round(width * self.radius))
        self.draw.line([self.at(*point) for point in points], fill=colour, width=thick, joint="curve")


def _dark(colour: Colour, by: float = 0.6) -> Colour:
    return (int(colour[0] * by), int(colour[1] * by), int(colour[2] * by))


def _circle(pen: Pen, colour: Colour) -> None:
    pen.disc(0, 0, 0.9, colour)


def _square(pen: Pen, colour: Colour) -> None:
    pen.box(-0.8, -0.8, 0.8, 0.8, colour)


def _triangle(pen: Pen, colour: Colour) -> None:
    pen.shape([(0, -0.95), (0.9, 0.75), (-0.9, 0.75)], colour)


def _star(pen: Pen, colour: Colour) -> None:
    tips = [(1.0 if step % 2 == 0 else 0.42, math.pi * step / 5 - math.pi / 2) for step in range(10)]
    pen.shape([(r * math.cos(turn), r * math.sin(turn)) for r, turn in tips], colour)


def _cross(pen: Pen, colour: Colour) -> None:
    pen.box(-0.28, -0.9, 0.28, 0.9, colour)
    pen.box(-0.9, -0.28, 0.9, 0.28, colour)


def _heart(pen: Pen, colour: Colour) -> None:
    turns = [2 * math.pi * step / 60 for step in range(60)]
    waves = [13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t) for t in turns]
    pen.shape([(math.sin(t) ** 3, -wave / 16) for t, wave in zip(turns, waves, strict=True)], colour)


def _ring(pen: Pen, colour: Colour) -> None:
    turns = [2 * math.pi * step / 48 for step in range(49)]
    pen.line([(0.75 * math.cos(t), 0.75 * math.sin(t)) for t in turns], 0.3, colour)


def _house(pen: Pen, colour: Colour) -> None:
    pen.box(-0.75, -0.15, 0.75, 0.9, colour)
    pen.shape([(-0.95, -0.15), (0, -0.95), (0.95, -0.15)], _dark(colour))
    pen.box(-0.15, 0.3, 0.2, 0.9, BROWN)
    pen.box(-0.6, 0.1, -0.3, 0.4, (250, 240, 170))
    pen.box(0.35, 0.1, 0.62, 0.4, (250, 240, 170))


def _car(pen: Pen, colour: Colour) -> None:
    pen.box(-1.0, -0.05, 1.0, 0.45, colour)
    pen.shape([(-0.6, -0.05), (-0.4, -0.5), (0.35, -0.5), (0.65, -0.05)], _dark(colour, 0.8))
    pen.box(-0.35, -0.4, -0.02, -0.08, (190, 225, 245))
    pen.box(0.06, -0.4, 0.36, -0.08, (190, 225, 245))
    for x in (-0.55, 0.55):
        pen.disc(x, 0.45, 0.25, (30, 30, 30))
        pen.disc(x, 0.45, 0.11, (190, 190, 190))


def _boat(pen: Pen, colour: Colour) -> None:
    pen.shape([(-0.95, 0.35), (0.95, 0.35), (0.6, 0.8), (-0.6, 0.8)], BROWN)
    pen.line([(0, 0.35), (0, -0.95)], 0.08, _dark(BROWN))
    pen.shape([(0.07, -0.9), (0.07, 0.25), (0.85, 0.25)], colour)
    pen.shape([(-0.07, -0.65), (-0.07, 0.25), (-0.65, 0.25)], _dark(colour, 0.8))


def _fish(pen: Pen, colour: Colour) -> None:
    pen.shape([(0.45, 0), (1.0, -0.45), (1.0, 0.45)], _dark(colour, 0.8))
    pen.disc(-0.15, 0, 0.75, colour, 0.42)
    pen.shape([(-0.2, -0.35), (0.15, -0.65), (0.2, -0.3)], _dark(colour, 0.8))
    pen.disc(-0.58, -0.1, 0.1, (250, 250, 250))
    pen.disc(-0.6, -0.1, 0.05, (10, 10, 10))


def _flower(pen: Pen, colour: Colour) -> None:
    pen.line([(0, 0), (0, 0.98)], 0.1, (30, 120, 40))
    pen.disc(0.25, 0.7, 0.24, (50, 150, 60), 0.1)
    for step in range(6):
        turn = math.pi * step / 3
        pen.disc(0.38 * math.cos(turn), -0.35 + 0.38 * math.sin(turn), 0.27, colour)
    pen.disc(0, -0.35, 0.22, (120, 80, 20))


def _cup(pen: Pen, colour: Colour) -> None:
    turns = [math.pi * step / 24 - math.pi / 2 for step in range(25)]
    pen.line([(0.5 + 0.35 * math.cos(t), 0.1 + 0.32 * math.sin(t)) for t in turns], 0.13, _dark(colour, 0.8))
    pen.shape([(-0.65, -0.5), (0.6, -0.5), (0.48, 0.75), (-0.53, 0.75)], colour)
    pen.disc(-0.025, -0.5, 0.62, _dark(colour, 0.7), 0.14)
    pen.disc(-0.025, -0.48, 0.5, (70, 40, 20), 0.09)


def _umbrella(pen: Pen, colour: Colour) -> None:
    turns = [math.pi * step / 24 for step in range(25)]
    pen.line([(0, -0.2), (0, 0.75), (0.1, 0.88), (0.24, 0.85), (0.28, 0.7)], 0.08, (60, 50, 40))
    pen.shape([(-0.95 * math.cos(t), -0.05 - 0.85 * math.sin(t)) for t in turns], colour)
    pen.shape([(-0.3 * math.cos(t), -0.05 - 0.85 * math.sin(t)) for t in turns], _dark(colour, 0.78))


def _balloon(pen: Pen, colour: Colour) -> None:
    pen.line([(0, 0.4), (0.08, 0.6), (-0.06, 0.8), (0.04, 1.0)], 0.04, (90, 90, 90))
    pen.shape([(-0.1, 0.5), (0.1, 0.5), (0, 0.36)], _dark(colour))
    pen.disc(0, -0.28, 0.58, colour, 0.68)
    pen.disc(-0.2, -0.55, 0.12, (255, 255, 255), 0.18)


def _tree(pen: Pen, _: Colour) -> None:
    pen.box(-0.14, 0.2, 0.14, 0.98, BROWN)
    for x, y, r in ((0, -0.45, 0.5), (-0.38, -0.1, 0.4), (0.38, -0.1, 0.4), (0, -0.05, 0.45)):
        pen.disc(x, y, r, (34, 118, 44))


def _sun(pen: Pen, _: Colour) -> None:
    for step in range(12):
        turn = math.pi * step / 6
        rays = [(0.6 * math.cos(turn), 0.6 * math.sin(turn)), (0.98 * math.cos(turn), 0.98 * math.sin(turn))]
        pen.line(rays, 0.1, (250, 190, 20))
    pen.disc(0, 0, 0.55, (255, 214, 40))


def _face(pen: Pen, _: Colour) -> None:
    pen.disc(0, -0.12, 0.8, (60, 40, 24), 0.85)
    pen.disc(0, 0.05, 0.68, SKIN, 0.82)
    for x in (-0.27, 0.27):
        pen.disc(x, -0.1, 0.13, (255, 255, 255), 0.09)
        pen.disc(x, -0.1, 0.06, (30, 30, 60))
    pen.line([(0, -0.02), (-0.06, 0.22), (0.06, 0.22)], 0.04, (200, 150, 120))
    pen.line([(-0.28, 0.45), (-0.12, 0.54), (0.12, 0.54), (0.28, 0.45)], 0.07, (190, 50, 60))


def _pizza(pen: Pen, _: Colour) -> None:
    pen.disc(0, 0, 0.95, (196, 134, 66))
    pen.disc(0, 0, 0.8, (246, 206, 96))
    for x, y in ((-0.35, -0.4), (0.35, -0.3), (0, 0.1), (-0.45, 0.25), (0.42, 0.35), (-0.05, 0.55), (0.05, -0.55)):
        pen.disc(x, y, 0.15, (186, 40, 30))
    for turn in (0.4, 1.45, 2.5):
        ends = [(0.9 * math.cos(turn), 0.9 * math.sin(turn)), (-0.9 * math.cos(turn), -0.9 * math.sin(turn))]
        pen.line(ends, 0.03, (170, 110, 50))


def _mountain(pen: Pen, _: Colour) -> None:
    pen.shape([(-1.1, 0.8), (-0.25, -0.85), (0.7, 0.8)], (110, 112, 120))
    pen.shape([(0.0, 0.8), (0.55, -0.3), (1.1, 0.8)], (88, 90, 100))
    pen.shape([(-0.25, -0.85), (-0.5, -0.36), (-0.3, -0.45), (-0.15, -0.3), (0.03, -0.38)], (252, 252, 255))


def _clock(pen: Pen, _: Colour) -> None:
    pen.disc(0, 0, 0.92, (40, 40, 44))
    pen.disc(0, 0, 0.78, (250, 250, 244))
    for step in range(12):
        turn = math.pi * step / 6
        rays = [(0.62 * math.cos(turn), 0.62 * math.sin(turn)), (0.72 * math.cos(turn), 0.72 * math.sin(turn))]
        pen.line(rays, 0.05, (40, 40, 44))
    pen.line([(0, 0), (0.0, -0.55)], 0.07, (20, 20, 20))
    pen.line([(0, 0), (0.36, 0.2)], 0.09, (20, 20, 20))


Draw = Callable[[Pen, Colour], None]
SHAPES: dict[str, Draw] = {
    "circle": _circle, "square": _square, "triangle": _triangle, "star": _star, "cross": _cross, "heart": _heart,
    "ring": _ring,
}  # fmt: skip
OBJECTS: dict[str, Draw] = {
    "house": _house, "car": _car, "boat": _boat, "fish": _fish, "flower": _flower, "cup": _cup,
    "umbrella": _umbrella, "balloon": _balloon,
}  # fmt: skip
FIXED: dict[str, Draw] = {
    "tree": _tree, "sun": _sun, "face": _face, "pizza": _pizza, "mountain": _mountain, "clock": _clock,
}  # fmt: skip
COLOURABLE = {**SHAPES, **OBJECTS}
THINGS: dict[str, Draw] = {**COLOURABLE, **FIXED}


def _shade(rng: random.Random, colour: Colour) -> Colour:
    light = rng.uniform(0.9, 1.06)
    red, green, blue = (min(255, round(part * light * rng.uniform(0.98, 1.02))) for part in colour)
    return (red, green, blue)


def _background(rng: random.Random, size: tuple[int, int], setting: str | None, avoid: Colour | None) -> Image.Image:
    """A plain, striped or graded ground that the thing stands out from, or one of the settings."""
    if setting is not None:
        return _setting(rng, size, setting)
    while True:
        first = tuple(rng.randrange(20, 250) for _ in range(3))
        second = tuple(min(255, max(0, part + rng.randrange(-50, 51))) for part in first)
        if avoid is None or all(
            sum(abs(a - b) for a, b in zip(each, avoid, strict=True)) > 170 for each in (first, second)
        ):
            break
    ground, other = Image.new("RGB", size, first), Image.new("RGB", size, second)  # type: ignore[arg-type]
    kind = rng.choice(("plain", "graded", "striped", "grainy"))
    if kind == "graded":
        return Image.composite(ground, other, Image.linear_gradient("L").resize(size))
    if kind == "striped":
        mask = Image.new("L", size)
        draw, step = ImageDraw.Draw(mask), max(4, size[0] // rng.randrange(5, 14))
        for x in range(0, size[0], 2 * step):
            draw.rectangle((x, 0, x + step, size[1]), fill=255)
        return Image.composite(ground, other, mask)
    return _grain(rng, ground) if kind == "grainy" else ground


def _grain(rng: random.Random, ground: Image.Image) -> Image.Image:
    small = (max(8, ground.width // 8), max(8, ground.height // 8))
    noise = Image.frombytes("L", small, rng.randbytes(small[0] * small[1])).filter(ImageFilter.SMOOTH)
    softened = noise.point(lambda value: value // 6).resize(ground.size)
    return ImageChops.add(ground, Image.merge("RGB", (softened,) * 3), offset=-20)


def _setting(rng: random.Random, size: tuple[int, int], setting: str) -> Image.Image:
    sky = {
        "at night": (14, 16, 48), "in the snow": (186, 206, 226), "on the sea": (150, 204, 240),
        "in a meadow": (140, 196, 244),
    }[setting]  # fmt: skip
    picture = Image.new("RGB", size, _shade(rng, sky))
    draw, horizon = ImageDraw.Draw(picture), size[1] * rng.uniform(0.5, 0.68)
    if setting == "at night":
        _night(rng, draw, size)
    else:
        ground = {"in the snow": (238, 242, 250), "on the sea": (20, 84, 150), "in a meadow": (96, 176, 62)}[setting]
        draw.rectangle((0, horizon, size[0], size[1]), fill=_shade(rng, ground))
        _ground_marks(rng, draw, size, horizon, setting)
    return picture


def _night(rng: random.Random, draw: ImageDraw.ImageDraw, size: tuple[int, int]) -> None:
    for _ in range(60):
        x, y, r = rng.uniform(0, size[0]), rng.uniform(0, size[1]), size[0] * rng.uniform(0.002, 0.007)
        draw.ellipse((x - r, y - r, x + r, y + r), fill=(240, 240, 210))


def _ground_marks(
    rng: random.Random, draw: ImageDraw.ImageDraw, size: tuple[int, int], horizon: float, setting: str
) -> None:
    for _ in range(70):
        x, y, r = rng.uniform(0, size[0]), rng.uniform(0, size[1]), size[0] * rng.uniform(0.006, 0.014)
        if setting == "in the snow":
            draw.ellipse((x - r, y - r, x + r, y + r), fill=(255, 255, 255))
        elif y > horizon and setting == "on the sea":
            draw.arc((x - 4 * r, y - r, x + 4 * r, y + r), 180, 360, fill=(140, 190, 226), width=max(1, round(r / 2)))
        elif y > horizon:
            draw.line((x, y, x + r / 2, y - 3 * r), fill=(50, 128, 40), width=max(1, round(r / 2)))
