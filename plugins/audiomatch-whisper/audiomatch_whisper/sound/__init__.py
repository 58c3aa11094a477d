"""Sound: where the speech is, its log-mel spectrogram, and how it is varied in training."""
