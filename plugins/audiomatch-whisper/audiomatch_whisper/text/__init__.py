"""Texts: Whisper's tokenizer, the words that tokens make up, and texts that are wrong."""
