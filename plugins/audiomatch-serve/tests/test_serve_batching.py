"""Requests that wait are predicted together, and get what they would get alone."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest
from audiomatch_serve.batching import Batcher
from audiomatch_serve.judge import Judge, Recording

import audiomatch
from audiomatch.audio import load_audio
from audiomatch.errors import UserError
from audiomatch.inputs import open_data


def recordings(count, seed=0):
    generator = np.random.default_rng(seed)
    return [
        Recording(
            generator.uniform(-level, level, 3000).astype(np.float32),
            ("the dog ran", "moon", "soup")[i % 3],
            words=i % 4 != 0,
        )
        for i, level in enumerate(generator.uniform(0.1, 0.9, count))
    ]


def test_what_is_judged_together_is_as_if_alone(model):
    judge = Judge(model)
    many = recordings(13)
    together = judge(many)
    alone = [judge([one])[0] for one in many]
    assert [one.p_match for one in together] == pytest.approx([o.p_match for o in alone], abs=1e-6)
    assert together == alone
    assert [one.words is None for one in together] == [not one.words for one in many]


@pytest.mark.slow
def test_the_ready_whisper_tells_of_many_what_it_tells_of_one():
    clips = open_data("mini-screener", labelled=False).clips.take([0, 40, 80])
    many = [
        Recording(load_audio(path), text)
        for path, text in zip(clips.paths, clips.texts, strict=True)
    ]
    judge = Judge(audiomatch.load("whisper:ready"))
    for one, alone in zip(judge(many), (judge([one])[0] for one in many), strict=True):
        assert one.p_match == pytest.approx(alone.p_match, abs=1e-6)
        assert (one.verdict, one.heard) == (alone.verdict, alone.heard)
        said = [word.p_said for word in alone.words]
        assert [word.p_said for word in one.words] == pytest.approx(said, abs=1e-6)


def test_one_that_cannot_be_judged_spoils_no_other(model):
    bad = Recording(np.ones(3000, np.float32), "refused")
    first, second, third = Judge(model)([recordings(1)[0], bad, recordings(3)[2]])
    assert isinstance(second, UserError)
    assert str(second) == "the text cannot be read by this matcher"
    assert not isinstance(first, UserError) and not isinstance(third, UserError)


def test_what_waits_is_computed_together():
    gate, batches = threading.Event(), []

    def compute(items):
        batches.append(list(items))
        assert gate.wait(10)
        return [item * 10 if item != 3 else UserError("three") for item in items]

    async def main():
        batcher = Batcher(compute, 4)
        async with batcher.running():
            asked = [asyncio.create_task(batcher(i)) for i in range(8)]
            while not batches:
                await asyncio.sleep(0.001)
            asked[1].cancel()
            gate.set()
            return await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 10)

    found = asyncio.run(main())
    assert isinstance(found[1], asyncio.CancelledError) and isinstance(found[3], UserError)
    assert [found[i] for i in (0, 2, 4, 5, 6, 7)] == [0, 20, 40, 50, 60, 70]
    assert max(map(len, batches)) <= 4 and len(batches) <= 3


def test_a_failure_of_all_reaches_each():
    async def main():
        batcher = Batcher(lambda items: 1 / 0, 4)
        async with batcher.running():
            found = await asyncio.gather(*map(batcher, range(3)), return_exceptions=True)
            assert {type(one) for one in found} == {ZeroDivisionError}
            return found

    assert len(asyncio.run(main())) == 3
