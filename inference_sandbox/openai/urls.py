"""Addresses of the API that OpenAI's clients speak. No slash at the end: the clients send none."""

from django.urls import path

from inference_sandbox.openai import tokenizing, views

MODEL = "models/<path:model>"

urlpatterns = [
    path("v1/models", views.models, name="openai-models"),
    path("v1/models/<path:model>", views.model, name="openai-model"),
    path("v1/completions", views.completions, name="openai-completions"),
    path("v1/chat/completions", views.chat_completions, name="openai-chat"),
    path("v1/<path:rest>", views.nothing, name="openai-nothing"),
    path("tokenizer_info", tokenizing.info, name="openai-tokenizer"),
    path("tokenize", tokenizing.tokenize, name="openai-tokenize"),
    path("detokenize", tokenizing.detokenize, name="openai-detokenize"),
    # The same with the model in the address, for a client that cannot name it to a tokenizer.
    path(f"{MODEL}/v1/completions", views.completions, name="openai-completions-of"),
    path(f"{MODEL}/v1/chat/completions", views.chat_completions, name="openai-chat-of"),
    path(f"{MODEL}/tokenizer_info", tokenizing.info, name="openai-tokenizer-of"),
    path(f"{MODEL}/tokenize", tokenizing.tokenize, name="openai-tokenize-of"),
    path(f"{MODEL}/detokenize", tokenizing.detokenize, name="openai-detokenize-of"),
]
