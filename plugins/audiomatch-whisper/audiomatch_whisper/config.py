"""The options of `whisper`."""

from __future__ import annotations

from typing import Annotated, Literal

from audiomatch_torch import TorchConfig, option, weights_option
from pydantic import Field, model_validator

Size = Literal[
    "tiny.en", "tiny", "base.en", "base", "small.en", "small", "medium.en", "medium",
    "large", "large-v2", "large-v3", "large-v3-turbo",
]  # fmt: skip


class WhisperConfig(TorchConfig):
    """What to start from, what to score, and how to train."""

    size: Size = Field(
        "tiny.en", description="Which OpenAI Whisper weights=auto and weights=scratch mean."
    )
    weights: str = weights_option(
        "openai/whisper-SIZE where the hub or its cache has it, else an installed package's",
        also="a CTranslate2 folder with a model.bin, ",
    )
    score: Literal["complete", "head", "same-position"] = Field(
        "complete",
        description="same-position: the sigmoid of the mean logit of each token at its own "
        "position; head: a logistic over that and what the next-token log probabilities say, given "
        "the speech and given silence; complete: the product of that, of a logistic that each word "
        "was reached, and of two that nothing else was said, after the text or before and within, "
        "all three by the Whisper before it was trained.",
    )
    expect: Literal["exact", "contains"] = Field(
        "exact",
        description="With score=complete: exact: a match says the text and nothing else, be it "
        "twice; contains: more may be said, as `audiomatch probe --expect` has it.",
    )
    insertions: Literal["ignored", "read"] = Field(
        "ignored",
        description="read: with score=complete and expect=exact, the likeliest other word is put "
        "in each gap of a text, and the text read again by the Whisper before it was trained; how "
        "much likelier that is speaks against a match whose text leaves out a word.",
    )
    prompt: Literal["own", "four"] = Field(
        "own",
        description="What comes before the text. four: start, English, transcribe, no timestamps; "
        "own: what the model was trained with, for English-only ones start and no timestamps.",
    )
    language: str = Field(
        "en",
        min_length=2,
        description="What is spoken, as the code that the Whisper has for it (en, de, yue). .en "
        "models know English only.",
    )
    spelling: Literal["sound", "strict"] = Field(
        "sound",
        description="Of score=complete and head: sound: a word is as probable as all spellings "
        "that sound the same (to, two, too), by CMUdict; strict: as the one that is written, for "
        "who checks transcripts. In English only.",
    )
    encoder_layers: Literal["all", "quarter"] | Annotated[int, Field(ge=0, le=64)] = Field(
        0,
        description="How many of the encoder's last layers are trained; quarter: a quarter of "
        "them, rounded up; all: the convolutions too. What lies below the trained layers runs once "
        "a clip.",
    )
    bf16: Literal["auto", "never"] = Field(
        "auto",
        description="auto: on a CPU that computes bfloat16 natively, and with precision auto, so "
        "does what is not being trained; predictions take the softmax's normaliser in int8 where "
        "the CPU multiplies that natively. never: all of it in the precision of the run.",
    )
    embeddings: Literal["frozen", "trained"] = Field(
        "frozen",
        description="Whether the token embeddings, which are the output matrix too, are trained.",
    )
    lora: int = Field(
        0,
        ge=0,
        le=256,
        description="Rank of low-rank adapters (LoRA) that are trained in place of the weights, "
        "and added to them at the end; 0: the weights themselves. Needs peft.",
    )
    pad: Literal["longest", "30s"] = Field(
        "longest",
        description="How far the encoder sees: 30 s, or the clip and margin, rounded up to 0.5 s.",
    )
    trim: bool = Field(
        default=False,
        description="Whether silence before and after the speech is left out, but for 0.25 s: "
        "faster, but soft words at the edges may go with it.",
    )
    margin: float = Field(
        0.3, ge=0.1, le=30, description="Seconds of silence after the clip where pad=longest."
    )
    negatives: int = Field(
        0,
        ge=0,
        le=64,
        description="Wrong texts made of each match in every epoch: another text, a word replaced, "
        "put in or left out, a letter changed.",
    )
    planted: float = Field(
        0.3,
        ge=0,
        le=10,
        description="Weight, beside the training part, of answers planted in its matches, by which "
        "score=complete learns what speaks against a match beside its words: speech that breaks "
        "off, another answer before or after, and texts with words left out, put in at the end, "
        "replaced or swapped.",
    )
    augment: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of the clips whose pace, pitch, noise and gaps are varied in every "
        "epoch; what is frozen then runs every time too. Needs audiomentations.",
    )
    calibration: float = option("calibration", 0.0)
    epochs: int = option("epochs", 2, le=1000)
    batch_size: int = option("batch_size", 16)
    lr: float | None = option("lr", None, "where not given 3e-5 or 2e-5 by size, with lora 1e-3")
    head_lr: float = option("head_lr", 1e-2)
    warmup: float | None = option("warmup", None, "where not given 0, 0.1 or 0.2 by size")
    transcribe_first: str = Field(
        "",
        description="What the Whisper is trained to transcribe before it is trained to match: "
        "nothing, matches (those of the training part), or DATA, any corpus that audiomatch reads; "
        "of one with labels the matches.",
    )
    transcribe_first_epochs: int = Field(
        1, ge=1, le=1000, description="Passes over what is transcribed first."
    )
    weight_decay: float = option("weight_decay", 0.0)
    average_last: float = option("average_last", 0.0)
    order: Literal["length", "shuffle"] = Field(
        "length", description="Whether batches are of like length, or drawn without regard to it."
    )
    explain_clips: int = Field(
        96,
        ge=1,
        le=100_000,
        description="Matches of the training part on which P(said) of `explain` is calibrated.",
    )

    @property
    def trains(self) -> bool:
        """Whether more is fitted than a head."""
        return bool(self.epochs or self.transcribe_first or self.score == "same-position")

    @model_validator(mode="after")
    def _options_agree(self) -> WhisperConfig:
        if self.lora and self.embeddings == "trained":
            raise ValueError("lora trains adapters alone; take embeddings=frozen with it")
        if self.insertions == "read" and (self.score, self.expect) != ("complete", "exact"):
            raise ValueError("insertions=read needs score=complete and expect=exact")
        return self
