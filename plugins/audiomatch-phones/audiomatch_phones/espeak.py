"""How eSpeak NG says a word by its rules for en-us, of the optional package `espeakng-loader`."""

from __future__ import annotations

import ctypes
import threading
from functools import lru_cache
from typing import Any, NamedTuple

from audiomatch.errors import UserError

RETRIEVAL, UTF_8, MISSING = 1, 1, -1  # of espeak-ng's speak_lib.h
BETWEEN = "_"  # mnemonics, which are of one to three characters
STRESS = str.maketrans("", "", "',=%")
# The phones of each mnemonic of en-us; @ is a schwa, # and 2 mark reduced vowels.
TABLE = """
    0=AA a=AE aa=AE a#=AH A:=AA A~=AA·N E=EH I=IH I#=IH I2=IH i=IY i:=IY i::=IY O=AO O:=AO O2=AO
    O~=AO·N U=UH u=UW u:=UW V=AH @=AH @-=AH @2=AH @5=AH o=OW aI=AY aU=AW eI=EY oU=OW OI=OY 3=ER
    3:=ER A@=AA·R e@=EH·R i@=IY·AH i@3=IH·R O@=AO·R o@=AO·R U@=UH·R aI@=AY·AH aI3=AY·ER aU@=AW·ER
    @L=AH·L b=B d=D D=DH dZ=JH f=F g=G h=HH j=Y k=K l=L l#=L m=M n=N n-=AH·N N=NG p=P r=R r-=R s=S
    S=SH t=T t#=T t2=T ?=T tS=CH T=TH v=V w=W x=K z=Z Z=ZH ;= |=
"""
MNEMONICS = dict(pair.split("=") for pair in TABLE.split())
_lock = threading.Lock()  # it has one voice a process


class _Espeak(NamedTuple):
    library: Any
    version: str


def say_by_espeak(word: str) -> tuple[str, ...]:
    """Return the ARPAbet phones of a word, none where a sound is not English.

    Raises `UserError` where `espeakng-loader` is not installed.
    """
    library, text = _espeak().library, ctypes.c_char_p(word.encode())
    with _lock:
        said: bytes = library.espeak_TextToPhonemes(ctypes.byref(text), UTF_8, ord(BETWEEN) << 8)
    names = said.decode().translate(STRESS).replace(" ", BETWEEN).split(BETWEEN)
    phones: list[str] = []
    for name, following in zip(names, [*names[1:], ""], strict=True):
        if name and name not in MNEMONICS:
            return ()
        if name in ("r", "r-") and phones and phones[-1] in ("R", "ER"):
            continue  # the vowel before it has it already
        near = name == "i@" and following == "r"
        phones += ["IH"] if near else [one for one in MNEMONICS.get(name, "").split("·") if one]
    return tuple(phones)


def espeak_version() -> str:
    """Return that of eSpeak NG; raises `UserError` where it is not installed."""
    return _espeak().version


@lru_cache(maxsize=1)
def _espeak() -> _Espeak:
    """Load the library once a process, with its American English voice."""
    try:
        import espeakng_loader
    except ImportError:
        raise UserError(
            "phones: letters=espeak needs eSpeak NG: pip install 'audiomatch-phones[espeak]'"
        ) from None
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    data = espeakng_loader.get_data_path().encode()
    library.espeak_TextToPhonemes.restype = library.espeak_Info.restype = ctypes.c_char_p
    if library.espeak_Initialize(RETRIEVAL, 0, data, 0) == MISSING or library.espeak_SetVoiceByName(
        b"en-us"
    ):
        raise UserError("phones: letters=espeak: eSpeak NG has no voice en-us; install it again")
    return _Espeak(library, library.espeak_Info(None).decode())
