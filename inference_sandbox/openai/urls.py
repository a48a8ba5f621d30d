"""Addresses of the API that OpenAI's clients speak. No slash at the end: the clients send none.

`/v1` and `/models/{model}/v1` are bases: all endpoints are below both, and the model in the address wins. The tokenizer
is also beside `/v1`, where vLLM has it. What a wrong base leads to gets an error that names the right one.
"""

from django.urls import include, path, register_converter
from django.urls.converters import StringConverter

from inference_sandbox.openai import tokenizing, views


class UnknownEndpoint(StringConverter):
    """What is below a base and no endpoint, and what clients call with a wrong base or with slashes too many."""

    regex = (
        r"/*(?:v1|models)(?:/.*)?"
        r"|(?!api/models/*$)(?:/|api/|openai/|v1/)*"
        r"(?:(?:chat/)?completions|responses|embeddings|models|(?:de)?tokenize|tokenizer_info)/*"
    )


register_converter(UnknownEndpoint, "unknown_endpoint")

TOKENIZER = [
    path("tokenizer_info", tokenizing.info, name="openai-tokenizer"),
    path("tokenize", tokenizing.tokenize, name="openai-tokenize"),
    path("detokenize", tokenizing.detokenize, name="openai-detokenize"),
]
ENDPOINTS = [
    path("models", views.models, name="openai-models"),
    path("models/<path:name>", views.model, name="openai-model"),
    path("completions", views.completions, name="openai-completions"),
    path("chat/completions", views.chat_completions, name="openai-chat"),
    path("responses", views.responses, name="openai-responses"),
    path("responses/<path:response_id>", views.stored_response, name="openai-response"),
    *TOKENIZER,
]
urlpatterns = [
    path("v1/", include(ENDPOINTS)),
    path("models/<path:model>/v1/", include(ENDPOINTS)),
    path("models/<path:model>/", include(TOKENIZER)),
    *TOKENIZER,
    path("<unknown_endpoint:rest>", views.unknown, name="openai-unknown"),
]
