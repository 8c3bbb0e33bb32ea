"""photoindex makes a photo library searchable on your own machine.

    from photoindex import Library
"""

from __future__ import annotations

__version__ = "0.1.0"
