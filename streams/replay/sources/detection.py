"""Detects the format of a file by its name and first bytes, and the likely encoding of a text."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Final

from streams.errors import ConfigError
from streams.files import STANDARD, open_bytes

HEAD: Final = 65_536
_BY_SUFFIX: Final = {
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".xes": "xes",
    ".xlsx": "xlsx",
    ".xlsm": "xlsx",
    ".xlsb": "xlsx",
    ".xls": "xlsx",
    ".ods": "xlsx",
    ".jsonocel": "ocel",
    ".xmlocel": "ocel",
}
_SQLITE: Final = b"SQLite format 3\0"
_OTHERS: Final = (
    (b"%PDF", "a PDF document"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"BZh", "compressed with bzip2: unpack it, or pack it with gzip or zstd"),
    (b"\xfd7zXZ", "compressed with xz: unpack it, or pack it with gzip or zstd"),
    (b"Obj\x01", "an Avro file: export it as Parquet or JSON lines"),
    (b"ORC", "an ORC file: export it as Parquet"),
    (b"ARROW1", "an Arrow file: export it as Parquet"),
    (b"{\\rtf", "a text document (RTF)"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
)
_CONTROLS: Final = re.compile(rb"[\x01-\x06\x0e-\x19\x1c-\x1f]")
"""Bytes that no text has."""

_NULLS: Final = re.compile(rb"\0+")
_LITTLE: Final = re.compile(rb"([\t\r\n -~]\0){2}")
_BIG: Final = re.compile(rb"(\0[\t\r\n -~]){2}")


def suffix_form(name: str) -> str | None:
    """The format by a file's name, compressed or not."""
    path = Path(name)
    if path.name.endswith((".ocel.json", ".ocel.xml", ".ocel.sqlite")):
        return "ocel"
    suffix = path.with_suffix("").suffix if path.suffix in (".gz", ".zst") else path.suffix
    return _BY_SUFFIX.get(suffix.lower())


def first_bytes(name: str) -> bytes:
    """The beginning of a file, decompressed; empty for standard input or a directory."""
    if name == STANDARD or Path(name).is_dir():
        return b""
    with open_bytes(name) as source:
        try:
            return source.read(HEAD)
        except Exception:  # damaged: reported when it is read
            return b""


def content_form(name: str, encoding: str = "utf-8") -> str | None:
    """The format by the content: a form of mappings, ``array`` for a JSON array; ``None`` for lines of text.

    ``encoding`` is what a mapping says of a text.

    Raises:
        ConfigError: for an unsupported format, by name.
    """
    if Path(name).is_dir():
        return "parquet"
    head = first_bytes(name)
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith(_SQLITE):
        return "ocel"
    if head.startswith(b"PK\x03\x04"):
        return _zip_form(name)
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        return "xlsx"
    if head[257:262] == b"ustar":
        raise ConfigError("is a tar archive: unpack it and name the files in it", path=name)
    for magic, what in _OTHERS:
        if head.startswith(magic):
            raise ConfigError(f"is {what}; gridclock cannot read it", path=name)
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"<"):
        return _xml_form(name, text)
    if text.startswith(b"["):
        return "array"
    if text.startswith(b"{") and b'"eventTypes"' in head and b'"objectTypes"' in head:
        return "ocel"
    if b"\0" in head and not (_is_wide(encoding) or _is_wide(encoding_of(head)) or _is_text(head)):
        raise ConfigError(f"is neither text nor a format that is known (it begins with {head[:8]!r})", path=name)
    return None


def _is_wide(encoding: str | None) -> bool:
    return encoding is not None and encoding.lower().replace("_", "-").startswith(
        ("utf-16", "utf-32", "utf16", "utf32")
    )


def _is_text(head: bytes) -> bool:
    """Whether it is a text in which null bytes stand here and there, as a crash leaves them: the lines are refused."""
    rest = head.replace(b"\0", b"")
    is_here_and_there = len(_NULLS.findall(head)) * 10 <= len(rest)
    return is_here_and_there and b"\0" not in head[:4] and not _CONTROLS.search(rest) and encoding_of(rest) is not None


def check_is_utf8(name: str) -> None:
    """Refuse a file of JSON in UTF-16, as PowerShell writes it: none of its lines could be read.

    Raises:
        ConfigError: with the remedy.
    """
    if _is_wide(found := encoding_of(first_bytes(name))):
        raise ConfigError(f"is {str(found).upper()}, and JSON is read as UTF-8: save it as UTF-8", path=name)


def _zip_form(name: str) -> str:
    try:
        with zipfile.ZipFile(name) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile) as error:
        raise ConfigError(f"is a damaged ZIP archive or spreadsheet: {error}", path=name) from error
    if any(one.startswith("xl/") for one in names) or "content.xml" in names:
        return "xlsx"
    if any(one.startswith("word/") for one in names):
        raise ConfigError("is a Word document; gridclock cannot read it", path=name)
    listed = ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
    raise ConfigError(
        f"is a ZIP archive of {len(names)} files ({listed}): unpack it and name the files in it", path=name
    )


def _xml_form(name: str, text: bytes) -> str:
    if b"<object-types" in text or b"<event-types" in text:
        return "ocel"
    if b"<html" in text[:2048].lower() and suffix_form(name) != "xes":
        raise ConfigError(
            "is a web page, as some systems name .xls: open it in a spreadsheet and save it as .xlsx", path=name
        )
    if b"urn:schemas-microsoft-com:office:spreadsheet" in text:
        raise ConfigError("is a spreadsheet in the XML of 2003: open it and save it as .xlsx", path=name)
    return "xes"


def encoding_of(head: bytes) -> str | None:
    """The likely encoding of a text; ``None`` where none fits."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if _LITTLE.match(head) or _BIG.match(head):
        return "utf-16-le" if _LITTLE.match(head) else "utf-16-be"
    for name in ("utf-8", "gb18030"):
        try:
            head[: len(head) - 4 if len(head) > 4096 else len(head)].decode(name)
        except UnicodeDecodeError as error:
            if len(head) <= 4096 or error.start < len(head) - 8:
                continue
        return name
    return None
