"""Reads the acoustic model that comes with pocketsphinx, in the file formats of CMU Sphinx.

The model `en-us` has a codebook of Gaussians for each phone and each of three streams (cepstra,
their differences and second differences). A senone, a state that triphones share, weighs those of
its phone (phonetically tied mixtures: Lee et al., 2001).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audiomatch.errors import WeightsError

FOLDER = "model/en-us/en-us"
FILES = ("mdef", "means", "variances", "sendump", "transition_matrices")
LEAST_VARIANCE, LEAST_TRANSITION = 1e-4, 1e-4
# Mixture weights are kept as a byte: a logarithm to the base 1.0001, less its last ten bits.
WEIGHT_STEP = float(1024 * np.log(1.0001))
STATES = 3  # of a phone
POSITIONS = 4  # of a phone in its word: inside, first, last, alone
INSIDE, FIRST, LAST, ALONE = range(POSITIONS)


@dataclass(frozen=True)
class Definitions:
    """Which senones a phone has in which neighbourhood.

    Attributes:
        phones: names, ARPAbet and the fillers `SIL`, `+NSN+`, `+SPN+`.
        sequences: senones of each state sequence, (sequences, states).
        of_phone: the state sequence of each phone alone, (phones,).
        of_triphone: that of a phone by position in the word, phone, left and right neighbour,
            -1 where there is none, (positions, phones, phones, phones).
    """

    phones: tuple[str, ...]
    sequences: NDArray[np.int64]
    of_phone: NDArray[np.int64]
    of_triphone: NDArray[np.int32]


@dataclass(frozen=True)
class Parameters:
    """What the files of an acoustic model hold.

    Attributes:
        definitions: which senones a phone has.
        means: of each stream's Gaussians, (phones, densities, 13) each.
        variances: likewise.
        weights: log mixture weights of each senone, (streams, densities, senones).
        stay: log probability that a state is kept for a further frame, (phones, states).
        leave: log probability that it goes on to the next, (phones, states).
    """

    definitions: Definitions
    means: tuple[NDArray[np.float32], ...]
    variances: tuple[NDArray[np.float32], ...]
    weights: NDArray[np.float32]
    stay: NDArray[np.float64]
    leave: NDArray[np.float64]


def model_folder() -> Path:
    """Return where pocketsphinx keeps its model; raises `WeightsError` without it."""
    found = find_spec("pocketsphinx")  # its folder: it is not imported
    if found is None or not found.submodule_search_locations:
        raise WeightsError("phones needs the model of pocketsphinx: pip install pocketsphinx")
    return Path(found.submodule_search_locations[0], FOLDER)


@cache
def model_digest() -> str:
    """Return the SHA-256 of the model's files. Raises `WeightsError`."""
    whole = hashlib.sha256()
    for name in FILES:
        whole.update(_read(model_folder() / name))
    return whole.hexdigest()


def read_parameters(folder: Path) -> Parameters:
    """Return the model in `folder`; raises `WeightsError` where it is none that can be read."""
    try:
        definitions = _definitions(_read(folder / "mdef"))
        means = _gaussians(_read(folder / "means"))
        variances = _gaussians(_read(folder / "variances"))
        transitions = _transitions(_read(folder / "transition_matrices"))
        senones = int(definitions.sequences.max()) + 1
        weights = _weights(_read(folder / "sendump"), (len(means), means[0].shape[1], senones))
        with np.errstate(divide="ignore"):
            logs = np.log(np.maximum(transitions, LEAST_TRANSITION))
    except (ValueError, IndexError) as error:
        raise WeightsError(f"{folder}: no acoustic model that phones can read ({error})") from None
    states = np.arange(STATES)
    return Parameters(
        definitions,
        means,
        tuple(np.maximum(one, LEAST_VARIANCE) for one in variances),
        weights,
        logs[:, states, states],
        logs[:, states, states + 1],
    )


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise WeightsError(
            f"{file}: cannot be read ({error.strerror}); install pocketsphinx anew"
        ) from None


def _definitions(data: bytes) -> Definitions:
    """Read a binary model definition, version 1."""
    if data[:4] != b"BMDF":
        raise ValueError("mdef is not binary")
    about = int(np.frombuffer(data, "<i4", 1, 8)[0])
    head = np.frombuffer(data, "<i4", 10, 12 + about)
    phones, triphones, states, tree = (int(head[i]) for i in (0, 1, 2, 8))
    if states != STATES:
        raise ValueError(f"mdef has phones of {states} states, not {STATES}")
    at = 12 + about + 40
    names = data[at:].split(b"\0", phones)[:phones]
    at += sum(len(name) + 1 for name in names)
    at += -at % 4 + 8 * tree
    kind = np.dtype([("sequence", "<i4"), ("transitions", "<i4"), ("context", "u1", 4)])
    table = np.frombuffer(data, kind, triphones, at)
    at += triphones * kind.itemsize
    size = int(np.frombuffer(data, "<i4", 1, at)[0])
    sequences = np.frombuffer(data, "<i2", size, at + 4).reshape(-1, STATES).astype(np.int64)
    of_triphone = np.full((POSITIONS, phones, phones, phones), -1, np.int32)
    position, phone, left, right = table["context"][phones:].T
    of_triphone[position, phone, left, right] = table["sequence"][phones:]
    return Definitions(
        tuple(name.decode("ascii") for name in names),
        sequences,
        table["sequence"][:phones].astype(np.int64),
        of_triphone,
    )


def _body(data: bytes) -> bytes:
    """Return what follows the header of a file of Sphinx 3 and the mark of its byte order."""
    _, end, body = data.partition(b"endhdr\n")
    if not end or body[:4] != b"\x44\x33\x22\x11":
        raise ValueError("a header is missing, or the byte order is another")
    return body[4:]


def _gaussians(data: bytes) -> tuple[NDArray[np.float32], ...]:
    """Read means or variances: of each stream (codebooks, densities, values)."""
    body = _body(data)
    codebooks, streams, densities = (int(n) for n in np.frombuffer(body, "<i4", 3))
    lengths = np.frombuffer(body, "<i4", streams, 12).astype(np.int64)
    start = 12 + 4 * streams + 4  # the last is the number of values
    values = np.frombuffer(body, "<f4", codebooks * densities * int(lengths.sum()), start)
    parts = np.split(values.reshape(codebooks, -1), np.cumsum(lengths * densities)[:-1], axis=1)
    return tuple(
        part.reshape(codebooks, densities, int(length))
        for part, length in zip(parts, lengths, strict=True)
    )


def _transitions(data: bytes) -> NDArray[np.float64]:
    """Read transition probabilities, (phones, states, states + 1)."""
    body = _body(data)
    shape = [int(n) for n in np.frombuffer(body, "<i4", 3)]
    counts = np.frombuffer(body, "<f4", int(np.prod(shape)), 16).reshape(shape).astype(np.float64)
    return np.asarray(counts / counts.sum(axis=2, keepdims=True), np.float64)


def _weights(data: bytes, shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """Read log mixture weights, (streams, densities, senones), from the end of a dump."""
    size = int(np.prod(shape))
    if len(data) < size or b"cluster_count 0" not in data[:2048]:
        raise ValueError("sendump is shorter than the model needs, or its weights are clustered")
    raw = np.frombuffer(data, np.uint8, size, len(data) - size).reshape(shape)
    return (-WEIGHT_STEP * raw).astype(np.float32)
