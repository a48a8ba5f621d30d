"""How the REST face reads a body."""

import json
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from rest_framework import exceptions, parsers
from rest_framework.utils.json import strict_constant


class Written(float):
    """A fraction of a body, with the digits that were sent: who may not round can tell."""

    written: str

    def __new__(cls, text: str) -> "Written":
        made = super().__new__(cls, text)
        made.written = text
        return made


class JSONBody(parsers.JSONParser):
    """JSON of a bounded depth: DRF takes a text that is nested too deeply for a fault of ours.

    Fractions keep the digits that were sent.
    """

    def parse(
        self,
        stream: Any,
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        encoding = (parser_context or {}).get("encoding", settings.DEFAULT_CHARSET)
        try:
            text = stream.read().decode(encoding)
            return json.loads(text, parse_float=Written, parse_constant=strict_constant)
        except RecursionError as error:
            raise exceptions.ParseError("The body is nested too deeply.") from error
        except (ValueError, LookupError) as error:  # no JSON, or an encoding that does not exist
            raise exceptions.ParseError(f"JSON parse error - {error}") from error
