"""What the API answers, as it stands in its OpenAPI description."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from audiomatch.explanation import WordEvidence
from audiomatch.scored import ClipScore
from audiomatch.verdicts import Verdict


class Word(BaseModel):
    """A word of the text."""

    word: str = Field(description="as the text writes it")
    start: float = Field(description="seconds from the start of the clip")
    end: float = Field(description="seconds from the start of the clip")
    p_said: float = Field(ge=0, le=1, description="P(the clip says the word in this place)")
    said: bool = Field(description="whether the word counts as said")
    heard: str = Field(description="what was heard in its place; empty for nothing")

    @classmethod
    def of(cls, word: WordEvidence) -> Word:
        """Make it of what a matcher says of a word."""
        return cls(
            word=word.word,
            start=word.start,
            end=word.end,
            p_said=word.probability,
            said=word.outcome == "said",
            heard="" if word.outcome == "nothing" else word.heard,
        )


class Judgement(BaseModel):
    """What a model says of one clip and its text."""

    p_match: float = Field(ge=0, le=1, description="P(the clip says the text)")
    verdict: Verdict = Field(description="what to make of it; `listen`: a person should hear it")
    heard: str | None = Field(None, description="all that was heard, where the model tells")
    words: list[Word] | None = Field(None, description="the words, where the model tells of them")

    @classmethod
    def of(cls, one: ClipScore) -> Judgement:
        """Make it of what is said of a clip."""
        told = one.explanation
        if told is None:
            return cls(p_match=one.p_match, verdict=one.verdict)
        words = [Word.of(word) for word in told.words]
        return cls(p_match=one.p_match, verdict=one.verdict, heard=told.heard, words=words)


class Answer(Judgement):
    """The answer to a clip and its text."""

    id: str = Field(description="of this answer")
    seconds: float = Field(description="how long the clip is")
    model: str = Field(description="what judged: a matcher, or NAME:ready")
    warnings: list[str] = Field([], description="what is odd about the clip: too quiet, clipped, …")


class Limits(BaseModel):
    """What a request may hold."""

    upload_bytes: int
    text_characters: int
    clip_seconds: float


class Health(BaseModel):
    """Whether the server is ready."""

    status: Literal["ready", "warming up"]
    model: str
    words: bool = Field(description="whether the model tells of words")
    keeps: bool = Field(description="whether the server keeps clips, texts and answers")
    limits: Limits


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    model_config = ConfigDict(json_schema_extra={"description": "Problem details, RFC 9457."})

    type: str = "about:blank"
    title: str
    status: int
    detail: str
