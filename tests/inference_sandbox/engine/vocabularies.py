"""Writes a small folder for each kind of tokenizer, all of them with the same control tokens."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sentencepiece import SentencePieceTrainer
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
)

BOS, EOS, START, END = "<s>", "</s>", "<|im_start|>", "<|im_end|>"
THINK, MASK = "<think>", "<mask>"
CONTROLS = [BOS, EOS, START, END, THINK, MASK]
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n<think>{% endif %}"
)
CONFIG: dict[str, Any] = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "bos_token": BOS,
    "eos_token": EOS,
    "unk_token": "<unk>",
    "additional_special_tokens": [START, END],
    "chat_template": TEMPLATE,
}
WORDS = "the capital of France is Paris and people write what they like here user assistant system"
CORPUS = [WORDS, WORDS.upper(), "a < b > c | d / e _ f = 0123456789 ?!.,;:", "  two\n\nlines\t<h1>"]
ALPHABET = sorted({char for line in CORPUS for char in line} | set("<>|/_ \n"))
# As vocabularies of this kind have them: neither the first nor the last, and no control token.
PLAIN_ADDED = [AddedToken("<h1>", normalized=False), AddedToken("    ", normalized=True)]


def added(content: str) -> AddedToken:
    """`<think>` is no special token, as in Qwen's and DeepSeek's vocabularies: the template writes it."""
    return AddedToken(content, special=content != THINK, normalized=False)


def save(folder: Path, tokenizer: Tokenizer, **config: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.add_tokens([added(content) for content in CONTROLS])
    tokenizer.add_tokens(PLAIN_ADDED)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({**CONFIG, **config}))


def byte_level_bpe(folder: Path, *, ignore_merges: bool = False) -> None:
    """GPT-2's kind, and with `ignore_merges` LLaMA 3's: a whole word of the vocabulary is one token."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("t", "h"), ("th", "e"), ("Ġ", "the"), ("<", "s"), ("<s", ">")]
    words = dict.fromkeys([*letters, "th", "the", "Ġthe", "<s", *CONTROLS])
    vocabulary = {word: number for number, word in enumerate(words)}
    model = models.BPE(vocabulary, merges, ignore_merges=ignore_merges)
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\s+|\S+"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    save(folder, tokenizer)


def bpe_ignore_merges(folder: Path) -> None:
    byte_level_bpe(folder, ignore_merges=True)


def metaspace_bpe(folder: Path) -> None:
    """LLaMA 2's kind as transformers writes it: bytes for what is unknown, a space before the first word."""
    byte_pieces = [f"<0x{byte:02X}>" for byte in range(256)]
    words = ["<unk>", *byte_pieces, *CONTROLS, "▁", *ALPHABET, "th", "the", "▁the", "<s"]
    vocabulary = {word: number for number, word in enumerate(dict.fromkeys(words))}
    merges = [("t", "h"), ("th", "e"), ("▁", "the"), ("<", "s"), ("<s", ">")]
    tokenizer = Tokenizer(
        models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    save(folder, tokenizer)


def unigram(folder: Path) -> None:
    pieces = [("<unk>", 0.0), *((content, 0.0) for content in CONTROLS)]
    pieces += [("▁the", -3.0), ("▁", -4.0)] + [(char, -6.0) for char in ALPHABET]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    save(folder, tokenizer)


def word_level(folder: Path) -> None:
    words = ["<unk>", *CONTROLS, *WORDS.split(), "<", ">"]
    vocabulary = {word: number for number, word in enumerate(dict.fromkeys(words))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    save(folder, tokenizer)


def word_piece(folder: Path) -> None:
    words = ["<unk>", *CONTROLS, *WORDS.split(), *ALPHABET, *(f"##{char}" for char in ALPHABET)]
    vocabulary = {word: number for number, word in enumerate(dict.fromkeys(words))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.decoder = decoders.WordPiece()
    save(folder, tokenizer)


def normalized_added(folder: Path) -> None:
    """Added tokens that are looked for in normalized text: `<ＭＡＳＫ>` would be one of them."""
    tokenizer = Tokenizer(models.Unigram([("<unk>", 0.0), *((c, -1.0) for c in ALPHABET)], 0))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Lowercase(), normalizers.Replace("¦", "|")]
    )
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.add_special_tokens([AddedToken(content, normalized=True) for content in CONTROLS])
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(CONFIG))


def sentencepiece(folder: Path, kind: str, **options: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS * 20),
        model_prefix=str(folder / "tokenizer"),
        model_type=kind,
        vocab_size=400,
        hard_vocab_limit=False,
        byte_fallback=True,
        character_coverage=1.0,
        user_defined_symbols=[START, END, THINK, "<h1>"],
        control_symbols=[MASK],
        minloglevel=2,
        **options,
    )
    (folder / "tokenizer.vocab").unlink()
    (folder / "tokenizer_config.json").write_text(json.dumps(CONFIG))


def sentencepiece_bpe(folder: Path) -> None:
    sentencepiece(folder, "bpe", normalization_rule_name="identity", remove_extra_whitespaces=False)


def sentencepiece_unigram(folder: Path) -> None:
    sentencepiece(folder, "unigram")


KINDS: dict[str, Callable[[Path], None]] = {
    made.__name__: made
    for made in (
        byte_level_bpe,
        bpe_ignore_merges,
        metaspace_bpe,
        unigram,
        word_level,
        word_piece,
        normalized_added,
        sentencepiece_bpe,
        sentencepiece_unigram,
    )
}
# Kinds that write any text down, and give it back.
LOSSLESS = ("byte_level_bpe", "bpe_ignore_merges", "metaspace_bpe", "sentencepiece_bpe")
