"""Why a picture could not be read: stable codes for scripts, sentences that say what to do next for people."""

from __future__ import annotations

from photoindex.records import Problem

_RETRY = "then scan again."
_AGAIN = "Copy it again from the camera, the phone or a backup."
MESSAGES = {
    "empty_file": "The file is empty (0 bytes). Copy it again from where it came from, or delete it.",
    "not_a_file": "This is {}, not an ordinary file, and is left alone.",
    "not_a_picture": "This is {}, not a picture. If a picture should be here, fetch it again; else leave the file out "
    "with --exclude.",
    "truncated": f"The picture ends too early: part of the file is missing. {_AGAIN}",
    "cut_short": f"The file ends too early{{}}. It is found by what is left, and never called a copy. {_AGAIN}",
    "damaged": f"The picture's data is damaged ({{}}). {_AGAIN}",
    "too_large": "{}. If it is genuine, save a smaller copy beside it.",
    "permission": f"No permission to read the file. Give yourself read access to it, {_RETRY}",
    "io_error": f"The disk gave an error while the file was read: {{}}. Check the disk and its cable, {_RETRY}",
    "vanished": "The file was gone before it could be read. Scan again to bring the library up to date.",
    "changed_while_reading": "The file changed while it was being read. Scan again when whatever writes it is done.",
    "over_memory": "The picture does not fit into memory. If the file is not damaged, close other programs, or give a "
    "scan more with --max-memory.",
    "decoder_forked": "Decoding the file started other processes ({}), as no picture should; they were ended. Do not "
    "trust this file.",
    "unsupported": "No installed decoder reads this {}: {}. Convert it to JPEG or, if it is a raw file, to DNG.",
}


class Unreadable(Exception):
    """A picture, or its pixels, cannot be had. `code` is a key of MESSAGES, the rest fills its sentence.

    `sha256` is known where the bytes were read, so that even an undecodable file has an identity.
    """

    def __init__(self, code: str, *details: object, sha256: str | None = None) -> None:
        super().__init__(code, *details)
        self.code = code
        self.sha256 = sha256

    @property
    def problem(self) -> Problem:
        return Problem(self.code, MESSAGES[self.code].format(*self.args[1:]))

    def __str__(self) -> str:
        return self.problem.message

    def __reduce__(self) -> tuple[object, ...]:
        """Keep `sha256` when the error crosses from a worker process."""
        return type(self), self.args, {"sha256": self.sha256, "code": self.code}


# What is raised on: mistakes of ours, which no file causes, and Ctrl-C.
NOT_OF_DECODERS = (Unreadable, NameError, ImportError, KeyboardInterrupt)


def too_many_pixels(width: int, height: int, limit: int) -> Unreadable:
    sentence = (
        f"The picture claims to be {width:,} x {height:,} pixels ({width * height / 1e6:,.0f} megapixels), more than "
        f"the limit of {limit / 1e6:,.0f} (a scan with more --max-memory has a higher one)"
    )
    return Unreadable("too_large", sentence)


def of_decoder_error(error: BaseException) -> Unreadable:
    """Sort what a decoder raised (they raise nearly anything) into a code."""
    text = " ".join(str(error).split()) or type(error).__name__
    if not isinstance(error, Exception):  # a panic of Rust; what ends a process
        text = f"{type(error).__name__}: {text}"
    low = text.lower()
    if isinstance(error, MemoryError):
        return Unreadable("over_memory")
    if any(word in low for word in ("truncat", "unexpected end", "end of file", "not enough data", "incomplete")):
        return Unreadable("truncated")
    return Unreadable("damaged", text[:200])
