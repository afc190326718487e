"""Text of unknown origin (names of files, messages of other people's code), made fit to be shown."""

from __future__ import annotations

__all__ = ["one_line", "printable", "shortened", "told"]

_LONGEST = 60  # characters of a name in a table


def printable(text: str) -> str:
    r"""The same with everything escaped that is not a visible character or a plain space.

    Terminal codes, line breaks, bidirectional and zero-width controls, and what stands for undecodable bytes come out
    as Python writes them: ``\x1b``, ``\u202e``, ``\udc80``.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def one_line(text: str) -> str:
    """`printable`, with runs of white space as one space each."""
    return printable(" ".join(text.split()))


def shortened(name: str, longest: int = _LONGEST) -> str:
    """A name for a table or a picture, whose middle is left out if it is long; as whole as it is elsewhere."""
    return name if len(name) <= longest else f"{name[: longest // 2]}...{name[3 - (longest + 1) // 2 :]}"


def told(error: BaseException) -> str:
    """What somebody else's code did, in words."""
    if isinstance(error, SystemExit):
        return f"called sys.exit({error.code!r})"
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # its own words may fail too
        return type(error).__name__
