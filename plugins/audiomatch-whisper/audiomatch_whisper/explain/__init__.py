"""Explaining: P(said), time and transcript of each word of a text."""
