"""The audit: what of a corpus and its folds would make the figures of a comparison untrue.

`cheap_audit` is what `bench` asks before any work; `full_audit` listens to the clips too.
"""
