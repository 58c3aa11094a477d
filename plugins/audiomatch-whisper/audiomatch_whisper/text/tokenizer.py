"""Whisper's tokenizers and their special tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from audiomatch_torch import first_line
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from audiomatch.errors import UserError, WeightsError, unknown

# English-only models know the middle two, but were never trained with them. In other languages
# another takes the place of the second.
PROMPT = ("<|startoftranscript|>", "<|en|>", "<|transcribe|>", "<|notimestamps|>")
END = "<|endoftext|>"
ENGLISH = "en"
ENGLISH_ONLY_END = 50256

Ids = tuple[int, ...]


@dataclass(frozen=True)
class WhisperTokenizer:
    """A Whisper tokenizer with the ids of its special tokens.

    Attributes:
        tokenizer: of the library `tokenizers`.
        prompt: the ids of `PROMPT`.
        end: the id of `END`, which also pads.
    """

    tokenizer: Tokenizer
    prompt: tuple[int, ...]
    end: int

    @classmethod
    def of(cls, tokenizer: Tokenizer, name: str) -> WhisperTokenizer:
        """Look up the special tokens; raises `WeightsError` where one is not there."""
        ids: dict[str, int] = {}
        for token in (*PROMPT, END):
            number = tokenizer.token_to_id(token)
            if number is None:
                raise WeightsError(f"{name}: the tokenizer has no {token}; not a Whisper's")
            ids[token] = number
        # A text that spells a special token is still only text.
        tokenizer.encode_special_tokens = True
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return cls(tokenizer, tuple(ids[token] for token in PROMPT), ids[END])

    @classmethod
    def read(cls, folder: Path) -> WhisperTokenizer:
        """Read the tokenizer.json of a folder; raises `WeightsError`."""
        file = folder / "tokenizer.json"
        if not file.is_file():
            raise WeightsError(f"{folder}: no tokenizer.json; copy it from the original model")
        try:
            tokenizer = Tokenizer.from_file(str(file))
        except Exception as error:  # noqa: BLE001 - tokenizers raises plain Exception
            raise WeightsError(f"{file}: not readable ({first_line(error)})") from None
        return cls.of(tokenizer, str(file))

    @classmethod
    def of_bytes(cls) -> WhisperTokenizer:
        """Make a tokenizer of single bytes, for a model from scratch."""
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        tokenizer = Tokenizer(models.BPE({c: i for i, c in enumerate(alphabet)}, []))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        tokenizer.add_special_tokens([AddedToken(t, special=True) for t in (END, *PROMPT)])
        return cls.of(tokenizer, "scratch")

    def save(self, folder: Path) -> None:
        """Write tokenizer.json."""
        (folder / "tokenizer.json").write_text(self.tokenizer.to_str(), encoding="utf-8")

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text that ids spell, without special tokens."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True))

    @property
    def vocabulary_size(self) -> int:
        """One more than the largest id."""
        return 1 + max(self.tokenizer.get_vocab(with_added_tokens=True).values())

    @property
    def english_only(self) -> bool:
        """Whether the vocabulary is that of the .en models: their end token is id 50256."""
        return self.end == ENGLISH_ONLY_END

    @property
    def languages(self) -> tuple[str, ...]:
        """The codes of the languages that it has a token for, which stand before the tasks."""
        ids = range(self.prompt[0] + 1, self.prompt[2])
        names = [(self.tokenizer.id_to_token(i) or "").strip("<|>") for i in ids]
        return tuple(name for name in names if name and name != "translate")

    def speaking(self, language: str) -> WhisperTokenizer:
        """Return the tokenizer with the prompt of a language, by its code.

        Raises `UserError` for a language that it has no token for, and for any but English where
        the vocabulary is that of the .en models.
        """
        if language == ENGLISH:
            return self
        if self.english_only:
            raise UserError(
                f"whisper: language={language}: this Whisper knows only English (en); take one of "
                "several languages, such as size=tiny"
            )
        token = self.tokenizer.token_to_id(f"<|{language}|>")
        if token is None or language not in self.languages:
            raise unknown("language", language, self.languages)
        start, _, task, timestamps = self.prompt
        return replace(self, prompt=(start, token, task, timestamps))

    @property
    def own_prompt(self) -> tuple[int, ...]:
        """The prompt the model was trained with, without timestamps."""
        return (self.prompt[0], self.prompt[-1]) if self.english_only else self.prompt
