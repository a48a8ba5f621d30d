"""How OpenAPI describes the key in a script."""

from drf_spectacular.extensions import OpenApiAuthenticationExtension


class ScriptKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "distribution.script.keys.ScriptKeyAuthentication"
    name = "script_key"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "The key in a download script that was made for one grant: wbs_…",
        }
