"""Where in a clip each phone of a text is said: the best path through its pronunciations (Viterbi).

Between two words, and at both ends, there may be anything that is no part of the text: silence, or
at a price other speech. All pronunciations of a word are right, and the one that fits best is
taken. At a price a word is not said at all, so that what is missing does not crowd out the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from audiomatch_phones.acoustics import SILENCE, Acoustics, Heard, Scores
from audiomatch_phones.model_files import ALONE, FIRST, INSIDE, LAST, STATES

Phones = tuple[str, ...]
Words = Sequence[Sequence[Phones]]  # of each word the ways it may be said
OTHER = 6.0  # nats a frame by which other speech than the text is less likely than the best senone
# Nats by which a word is less likely left out than said by the best senones, a phone; how many
# words may be left out between two that are said.
UNSAID = 25.0
MOST_UNSAID = 2
NEVER = -1e30


@dataclass(frozen=True)
class Aligned:
    """Where a phone was found.

    Attributes:
        word: the place of its word in the text.
        phone: its name.
        start: its first frame.
        end: the frame after its last; equal to `start` where its word was left out.
    """

    word: int
    phone: str
    start: int
    end: int


@dataclass(frozen=True)
class Alignment:
    """The best path of a text through a clip.

    Attributes:
        phones: in the order of the text.
        states: the log density of the path at each frame, (frames,).
        inside: whether a frame belongs to a phone of the text, (frames,).
    """

    phones: tuple[Aligned, ...]
    states: Scores
    inside: NDArray[np.bool_]


@dataclass
class _Graph:
    """The states of a text, and which may follow which.

    Attributes:
        emissions: log density of each state at each frame, a column (frames,) each.
        stay: log probability to be kept for a further frame.
        leave: log probability to go on.
        entries: states that are entered from other than the state before them.
        before: of each entry the states before it and what the step costs.
        ends: states in which a path may end, and what that costs.
        starts: states in which it may begin, and what that costs.
        owner: word, variant and phone of each state; None of what is between words.
    """

    emissions: list[Scores] = field(default_factory=list)
    stay: list[float] = field(default_factory=list)
    leave: list[float] = field(default_factory=list)
    entries: list[int] = field(default_factory=list)
    before: list[list[tuple[int, float]]] = field(default_factory=list)
    starts: list[tuple[int, float]] = field(default_factory=list)
    owner: list[tuple[int, int, int] | None] = field(default_factory=list)


def align(heard: Heard, model: Acoustics, words: Words) -> Alignment:
    """Return the best path of a text's words, each in one of its pronunciations."""
    graph, ends = _graph(heard, model, words)
    emissions = np.stack(graph.emissions, axis=1)  # (frames, states)
    path = _viterbi(graph, emissions, ends)
    frames = np.arange(len(path))
    inside = np.array([graph.owner[state] is not None for state in path])
    return Alignment(tuple(_phones(graph, path, words)), emissions[frames, path], inside)


def _graph(heard: Heard, model: Acoustics, words: Words) -> tuple[_Graph, list[tuple[int, float]]]:
    """Return the graph of a text, and the states in which a path may end, with what that costs."""
    graph = _Graph()
    between = _between(heard, model)
    costs = [UNSAID * min(map(len, variants)) for variants in words]
    ends: list[list[int]] = []  # of each boundary: the last states before it, what is between too
    for i in range(len(words) + 1):
        said = [] if i == 0 else _word(graph, heard, model, words, i - 1, ends, costs)
        gap = _add(graph, between, 0.0, 0.0, None)
        _enter(graph, gap, [(state, 0.0) for state in said], 0.0 if i == 0 else None)
        ends.append([*said, gap])
    final = [(s, -sum(costs[i:])) for i, states in enumerate(ends) for s in states]
    return graph, final


def _between(heard: Heard, model: Acoustics) -> Scores:
    """Return the log density of what is no part of the text, (frames,)."""
    fillers = [i for name, i in model.number.items() if name == SILENCE or not name.isalpha()]
    columns = [STATES * i + state for i in fillers for state in range(STATES)]
    return np.asarray(np.maximum(heard.units[:, columns].max(axis=1), heard.best - OTHER))


def _word(
    graph: _Graph,
    heard: Heard,
    model: Acoustics,
    words: Words,
    at: int,
    ends: list[list[int]],
    costs: list[float],
) -> list[int]:
    """Add the pronunciations of a word; return their last states."""
    reach = range(at, max(-1, at - 1 - MOST_UNSAID), -1)
    before = [(s, -sum(costs[i:at])) for i in reach for s in ends[i]]
    left = words[at - 1][0][-1] if at else SILENCE
    right = words[at + 1][0][0] if at + 1 < len(words) else SILENCE
    last = []
    for variant, phones in enumerate(words[at]):
        around = [left, *phones, right]
        for i, phone in enumerate(phones):
            emissions = _emissions(heard, model, around[i : i + 3], i, len(phones))
            number = model.number[phone]
            for state in range(STATES):
                new = _add(
                    graph,
                    emissions[:, state],
                    float(model.parameters.stay[number, state]),
                    float(model.parameters.leave[number, state]),
                    (at, variant, i),
                )
                if i == state == 0:
                    _enter(graph, new, before, -sum(costs[:at]))
        last.append(new)
    return last


def _emissions(
    heard: Heard, model: Acoustics, around: Sequence[str], place: int, count: int
) -> Scores:
    """Return the log densities of a phone's states, (frames, states).

    At the edges of a word, which may be said with a pause or without, the better neighbour counts.
    """
    position = ALONE if count == 1 else {0: FIRST, count - 1: LAST}.get(place, INSIDE)
    left, phone, right = (model.number[name] for name in around)
    found = heard.of(model.senones(phone, left, right, position))
    silence = model.number[SILENCE]
    pauses = {
        (silence if place == 0 else left, right),
        (left, silence if place == count - 1 else right),
    }
    for pause in pauses - {(left, right)}:
        found = np.maximum(found, heard.of(model.senones(phone, *pause, position)))
    return found


def _add(
    graph: _Graph, emission: Scores, stay: float, leave: float, owner: tuple[int, int, int] | None
) -> int:
    graph.emissions.append(emission)
    graph.stay.append(stay)
    graph.leave.append(leave)
    graph.owner.append(owner)
    return len(graph.owner) - 1


def _enter(graph: _Graph, state: int, before: list[tuple[int, float]], start: float | None) -> None:
    graph.entries.append(state)
    graph.before.append(before)
    if start is not None:
        graph.starts.append((state, start))


def _viterbi(graph: _Graph, emissions: Scores, ends: list[tuple[int, float]]) -> NDArray[np.int64]:
    """Return the state of the best path at each frame, (frames,)."""
    frames, states = emissions.shape
    stay, leave = np.array(graph.stay), np.array(graph.leave)
    entries = np.array(graph.entries)
    most = max(1, *map(len, graph.before))
    before = np.zeros((len(entries), most), np.int64)
    costs = np.full((len(entries), most), NEVER)
    for row, steps in enumerate(graph.before):
        for column, (state, cost) in enumerate(steps):
            before[row, column], costs[row, column] = state, cost + leave[state]
    step = np.r_[NEVER, leave[:-1]]
    step[entries] = NEVER
    rows = np.arange(len(entries))
    came = np.zeros((frames, states), np.int32)
    own = np.arange(states)
    scores = np.full(states, NEVER)
    for state, cost in graph.starts:
        scores[state] = cost + emissions[0, state]
    previous = own - 1
    for frame in range(1, frames):
        kept, moved = scores + stay, np.empty(states)
        moved[0] = NEVER
        moved[1:] = scores[:-1]
        moved += step
        source = previous.copy()
        jumps = scores[before] + costs
        best = jumps.argmax(axis=1)
        moved[entries] = jumps[rows, best]
        source[entries] = before[rows, best]
        came[frame] = np.where(kept >= moved, own, source)
        scores = np.maximum(kept, moved) + emissions[frame]
    path = np.empty(frames, np.int64)
    path[-1] = max(ends, key=lambda end: scores[end[0]] + end[1])[0]
    for frame in range(frames - 1, 0, -1):
        path[frame - 1] = came[frame, path[frame]]
    return path


def _phones(graph: _Graph, path: NDArray[np.int64], words: Words) -> list[Aligned]:
    """Return the phones on a path, those of words left out too, at the moment of their place."""
    spans: dict[int, dict[int, list[int]]] = {}  # of each word said: frames of each phone
    variants: dict[int, int] = {}
    for frame, state in enumerate(path):
        owner = graph.owner[state]
        if owner is not None:
            word, variant, phone = owner
            variants[word] = variant
            spans.setdefault(word, {}).setdefault(phone, []).append(frame)
    found, now = [], 0
    for word, pronunciations in enumerate(words):
        phones = pronunciations[variants.get(word, 0)]
        for i, phone in enumerate(phones):
            frames = spans.get(word, {}).get(i)
            start, now = (frames[0], frames[-1] + 1) if frames else (now, now)
            found.append(Aligned(word, phone, start, now))
    return found
