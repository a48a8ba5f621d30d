"""What the model thought of each token, in the two shapes of OpenAI's API."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from inference_sandbox.openai.following import Record

REPLACEMENT = "\ufffd"
if TYPE_CHECKING:
    from inference_sandbox.engine.tokenizer import Tokenizer


def spelt(tokenizer: "Tokenizer", token: int) -> str:
    """A token's text; where it is only a part of a character, its bytes: `bytes:\\xe2\\x80`."""
    raw = tokenizer.token_bytes(token)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in raw)


class InCompletion:
    """`logprobs` of a completion: four lists, over all pieces of one choice.

    The alternatives are a table by text, so that two tokens of one text need two names. The token
    itself has its own name there, and the same float as in `token_logprobs`: lm_eval compares them.
    """

    def __init__(self, tokenizer: "Tokenizer", prompt: Sequence[int], *, echo: bool) -> None:
        self._tokenizer = tokenizer
        self._places = Places(tokenizer, () if echo else prompt)

    def of(self, records: Sequence[Record]) -> dict[str, Any]:
        return {
            "tokens": [spelt(self._tokenizer, record[0]) for record in records],
            "token_logprobs": [record[2] for record in records],
            "top_logprobs": [self._top(record) for record in records],
            "text_offset": [self._places.next(record[0]) for record in records],
        }

    def _top(self, record: Record) -> dict[str, float] | None:
        token, _, logprob, _, alternatives = record
        if logprob is None:
            return None
        top = {spelt(self._tokenizer, token): logprob}
        for other, _, other_logprob in alternatives:
            if other != token:
                top[self._free_name(other, top)] = other_logprob
        return top

    def _free_name(self, token: int, taken: dict[str, float]) -> str:
        name = spelt(self._tokenizer, token)
        return f"token_id:{token}" if name in taken else name


class Places:
    """Where each token's text begins; of a part of a character, where the character does.

    That is where the text with the token parts from the text without it. Only the last few tokens
    are read again for it.
    """

    KEPT, MOST = 8, 40

    def __init__(self, tokenizer: "Tokenizer", context: Sequence[int]) -> None:
        self._tokenizer = tokenizer
        self._window = list(context[-self.KEPT :])
        self._text = tokenizer.decode(self._window)
        self._begins = -len(self._text)  # of the window, in the whole text

    def next(self, token: int) -> int:
        self._window.append(token)
        before, self._text = self._text, self._tokenizer.decode(self._window)
        place = self._begins + _alike(before, self._text)
        if before == self._text and before.endswith(REPLACEMENT) and self._is_part(token):
            place -= 1  # one sign stands for all of a character that is not whole yet
        if len(self._window) > self.MOST and not self._text.endswith(REPLACEMENT):
            self._move()
        return place

    def _is_part(self, token: int) -> bool:
        return spelt(self._tokenizer, token).startswith("bytes:")

    def _move(self) -> None:
        end = self._begins + len(self._text)
        self._window = self._window[-self.KEPT :]
        self._text = self._tokenizer.decode(self._window)
        self._begins = end - len(self._text)


def _alike(one: str, other: str) -> int:
    """How many characters two texts begin with alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def in_chat(tokenizer: "Tokenizer", records: Sequence[Record]) -> dict[str, Any]:
    content = [
        {
            **_one(tokenizer, token, logprob),
            "top_logprobs": [_one(tokenizer, other, lp) for other, _, lp in alternatives],
        }
        for token, _, logprob, _, alternatives in records
    ]
    return {"content": content, "refusal": None}


def _one(tokenizer: "Tokenizer", token: int, logprob: float) -> dict[str, Any]:
    raw = tokenizer.token_bytes(token)
    text = raw.decode("utf-8", "replace")
    return {"token": text, "logprob": logprob, "bytes": list(raw)}


def of_prompt(
    tokenizer: "Tokenizer", records: Sequence[Record]
) -> list[dict[str, dict[str, Any]] | None]:
    """`prompt_logprobs` as vLLM has them: of each token, the likeliest ones and itself by their ids."""
    return [None if record[2] is None else _by_id(tokenizer, record) for record in records]


def _by_id(tokenizer: "Tokenizer", record: Record) -> dict[str, dict[str, Any]]:
    token, _, logprob, _, alternatives = record
    ranked: list[tuple[int, float, int | None]] = [
        (other, lp, rank) for rank, (other, _, lp) in enumerate(alternatives, start=1)
    ]
    if token not in [other for other, _, _ in ranked]:
        ranked.append((token, logprob, None))  # below those that are known
    return {
        str(other): {"logprob": lp, "rank": rank, "decoded_token": tokenizer.token_text(other)}
        for other, lp, rank in ranked
    }
