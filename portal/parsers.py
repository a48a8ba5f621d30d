"""How the REST face reads a body."""

from collections.abc import Mapping
from typing import Any

from rest_framework import exceptions, parsers


class JSONBody(parsers.JSONParser):
    """JSON of a bounded depth: DRF takes a text that is nested too deeply for a fault of ours."""

    def parse(
        self,
        stream: Any,
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        try:
            return super().parse(stream, media_type, dict(parser_context or {}))
        except RecursionError as error:
            raise exceptions.ParseError("The body is nested too deeply.") from error
