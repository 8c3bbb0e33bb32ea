"""What tells a screenshot from a photo: how programs name it, and the pixels of screens."""

from __future__ import annotations

import re
import unicodedata

# Names that systems and programs give to screenshots, in the languages they speak.
_NAMES = re.compile(
    r"screen[ _-]?shots?|screen[ _-]?(?:capture|grab|snap)|bildschirmfoto|bildschirmaufnahme|schermafbeelding|schermata"
    r"|capture[ _]d['\u2019 _]?[eé]cran|captura de (?:pantalla|tela|ecr[aã])|captura_de_(?:pantalla|tela)|zrzut ekranu"
    r"|sk[aä]rm(?:avbild|bild|klipp)|sk[aæ]rmbillede|skjermbilde|n[aä]ytt[oö]kuva|ekran (?:g[oö]r[uü]nt[uü]s[uü]|resmi)"
    r"|снимок экрана|скриншот|знімок екрана|スクリーンショット|屏幕截图|屏幕快照|截屏"
    r"|螢幕截圖|螢幕快照|스크린샷|화면 캡처|ภาพหน้าจอ|(?:^|[^a-z])scrot(?:[^a-z]|$)|cleanshot",
    re.IGNORECASE,
)
# Shorter and longer side in pixels: phones, tablets, computers.
# fmt: off
SCREENS = (
    (480, 800), (540, 960), (640, 960), (640, 1136), (720, 1280), (720, 1480), (720, 1520), (720, 1560), (720, 1600),
    (750, 1334), (768, 1024), (768, 1366), (800, 1280), (828, 1792), (900, 1440), (900, 1600), (1024, 1280),
    (1024, 1366), (1050, 1680), (1080, 1920), (1080, 2160), (1080, 2220), (1080, 2280), (1080, 2310), (1080, 2316),
    (1080, 2340), (1080, 2376), (1080, 2400), (1080, 2408), (1080, 2412), (1080, 2460), (1080, 2520), (1080, 2640),
    (1125, 2436), (1170, 2532), (1179, 2556), (1200, 1600), (1200, 1920), (1200, 2000), (1206, 2622), (1220, 2712),
    (1242, 2208), (1242, 2688), (1284, 2778), (1290, 2796), (1320, 2868), (1344, 2992), (1440, 2560), (1440, 2880),
    (1440, 2960), (1440, 3040), (1440, 3088), (1440, 3120), (1440, 3200), (1440, 3216), (1440, 3440), (1488, 2266),
    (1536, 2048), (1536, 2304), (1600, 2560), (1620, 2160), (1640, 2360), (1664, 2560), (1668, 2224), (1668, 2388),
    (1800, 2880), (1824, 2736), (1864, 2880), (1920, 2880), (1964, 3024), (2000, 3000), (2048, 2732), (2064, 2752),
    (2160, 3840), (2160, 4096), (2234, 3456), (2304, 4096), (2520, 4480), (2880, 5120),
)
# fmt: on


def is_screenshot_name(name: str) -> bool:
    """Whether a file's name (with or without its folders) is that of a screenshot, in whatever form of Unicode."""
    return _NAMES.search(unicodedata.normalize("NFC", name)) is not None
