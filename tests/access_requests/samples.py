"""A form of every type of question, good answers to it, and small whole files."""

import struct
import zlib
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile

EVERY_QUESTION: list[dict[str, Any]] = [
    {"key": "top", "label": "About the work", "type": "heading"},
    {"key": "say", "label": "Read *this* <b>first</b>.", "type": "explanation"},
    {"key": "title", "label": "Title", "type": "text", "required": True},
    {
        "key": "orcid",
        "label": "ORCID iD",
        "type": "text",
        "pattern": r"\d{4}-\d{4}-\d{4}-\d{3}[\dX]",
        "pattern_hint": "Four groups of four.",
    },
    {"key": "plan", "label": "Plan", "type": "long_text", "max_length": 300},
    {"key": "kind", "label": "Kind", "type": "choice", "choices": [["a", "One"], ["b", "Two"]]},
    {
        "key": "topics",
        "label": "Topics",
        "type": "multiple_choice",
        "choices": [["bias", "Bias"], ["safety", "Safety"]],
    },
    {"key": "agree", "label": "Kept offline", "type": "boolean"},
    {"key": "begins", "label": "Begins on", "type": "date"},
    {"key": "gpus", "label": "GPUs", "type": "number"},
    {"key": "page", "label": "Page", "type": "url"},
    {"key": "contact", "label": "Contact", "type": "email"},
    {"key": "place", "label": "Place", "type": "country"},
    {
        "key": "team",
        "label": "Team",
        "type": "table",
        "columns": [["name", "Name"], ["role", "Role"]],
    },
    {"key": "letter", "label": "Letter", "type": "attachment"},
    {
        "key": "why",
        "label": "Why two?",
        "type": "text",
        "required": True,
        "show_if": {"key": "kind", "equals": "b"},
    },
]
GOOD: dict[str, Any] = {
    "title": "Negation",
    "orcid": "0000-0002-1825-0097",
    "plan": "Probe it.\nThen write.",
    "kind": "a",
    "topics": ["safety"],
    "agree": True,
    "begins": "2026-05-31",
    "gpus": 4,
    "page": "https://a.example/",
    "contact": "alice@lab.test",
    "place": "NL",
    "team": [{"name": "Ada", "role": "PI"}],
}


def posted(answers: dict[str, Any]) -> dict[str, Any]:
    """The same answers as a browser sends them."""
    sent: dict[str, Any] = {}
    for key, value in answers.items():
        if key == "team":
            for at, row in enumerate(value):
                sent |= {f"answers-{key}-{at}-{column}": cell for column, cell in row.items()}
        elif value is not False:
            sent[f"answers-{key}"] = "on" if value is True else value
    return sent


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


PNG = (
    b"\x89PNG\r\n\x1a\n"
    + _chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    + _chunk(b"IDAT", zlib.compress(b"\0\0"))
    + _chunk(b"IEND", b"")
)
PDF = b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\nstartxref\n9\n%%EOF\n"
JPEG = (
    b"\xff\xd8\xff\xe0\x00\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0"
    b"\xff\xc0\x00\x0b\x08\0\x01\0\x01\x01\x01\x11\0\xff\xda\x00\x08\x01\x01\0\0\x3f\0\x12\xff\xd9"
)


def upload(content: bytes, name: str = "letter.pdf") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content, content_type="application/pdf")
