"""llama.cpp as a child that answers requests over its pipes, for the benchmarks that put the engine beside it.

    .venv/llama/bin/python -m benchmarks.llama_cpp MODEL.gguf --rows 32 --length 512 --threads 2

`benchmarks/beside_llama_cpp.py` starts it, in the environment that `script/test --all` makes. A line
of JSON in: {"requests": [[[token, …], how many], …], "every": 2}; one out: {"answers": [[token, …], …]}.

All requests share each call of `llama_decode`, as in the engine: one joins every `every` steps (0: all at once) with
its whole prompt, what is over leaves and its cells are free. Greedy, and no token ends an answer.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import sys
from dataclasses import dataclass, field
from heapq import heappop, heappush

import llama_cpp
import numpy as np

MOST_TOKENS = 2048  # of one call


@dataclass
class Running:
    number: int  # of the request
    sequence: int
    left: int  # tokens to be made
    news: list[int]  # tokens that llama.cpp has not read
    place: int = 0  # of the first of them
    answer: list[int] = field(default_factory=list)


class Model:
    def __init__(self, path: str, *, rows: int, length: int, threads: int) -> None:
        llama_cpp.llama_backend_init()
        self._model = llama_cpp.llama_model_load_from_file(
            path.encode(), llama_cpp.llama_model_default_params()
        )
        if not self._model:
            raise SystemExit(f"llama.cpp cannot read {path}")
        params = llama_cpp.llama_context_default_params()
        params.n_ctx, params.n_seq_max = rows * length, rows
        params.n_batch = MOST_TOKENS
        params.n_threads = params.n_threads_batch = threads
        # One cache for all: a step may then hold rows of any lengths. A cache for each was no faster.
        params.kv_unified = True
        self._context = llama_cpp.llama_init_from_model(self._model, params)
        if not self._context:
            raise SystemExit("llama.cpp has no room for so many rows of this length")
        self._memory = llama_cpp.llama_get_memory(self._context)
        self._vocabulary = llama_cpp.llama_vocab_n_tokens(
            llama_cpp.llama_model_get_vocab(self._model)
        )
        self._batch = llama_cpp.llama_batch_init(MOST_TOKENS, 0, 1)
        self._rows = rows

    def together(self, requests: list[tuple[list[int], int]], every: int) -> list[list[int]]:
        waiting = list(enumerate(requests))
        running: list[Running] = []
        free = list(range(self._rows))
        answers: list[list[int]] = [[] for _ in requests]
        steps = 0
        while waiting or running:
            while waiting and free and (every == 0 or steps % every == 0):
                number, (prompt, tokens) = waiting.pop(0)
                running.append(
                    Running(number, heappop(free), tokens, prompt, answer=answers[number])
                )
                if every:
                    break
            if running:
                self._step(running)
            for one in [one for one in running if not one.left]:
                llama_cpp.llama_memory_seq_rm(self._memory, one.sequence, -1, -1)
                heappush(free, one.sequence)
                running.remove(one)
            steps += 1
        return answers

    def _step(self, running: list[Running]) -> None:
        batch, filled = self._batch, 0
        for one in running:
            for token in one.news:
                batch.token[filled] = token
                batch.pos[filled] = one.place
                batch.n_seq_id[filled] = 1
                batch.seq_id[filled][0] = one.sequence
                batch.logits[filled] = 0
                one.place += 1
                filled += 1
            batch.logits[filled - 1] = 1
        batch.n_tokens = filled
        if failed := llama_cpp.llama_decode(self._context, batch):
            raise SystemExit(f"llama_decode gave {failed}")
        for one, token in zip(running, self._likeliest(len(running)), strict=True):
            one.answer.append(token)
            one.news, one.left = [token], one.left - 1

    def _likeliest(self, count: int) -> list[int]:
        """One for each row that asked for logits, in their order."""
        logits = ctypes.cast(
            llama_cpp.llama_get_logits(self._context), ctypes.POINTER(ctypes.c_float)
        )
        return np.ctypeslib.as_array(logits, (count, self._vocabulary)).argmax(-1).tolist()


@llama_cpp.llama_log_callback
def _silent(*_: object) -> None:
    """stderr is for what goes wrong."""


def main() -> None:
    parser = argparse.ArgumentParser(description="llama.cpp as a child of the benchmarks.")
    parser.add_argument("model")
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--length", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    llama_cpp.llama_log_set(_silent, None)
    model = Model(options.model, rows=options.rows, length=options.length, threads=options.threads)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps({"answers": model.together(**asked)}), flush=True)


if __name__ == "__main__":
    main()
