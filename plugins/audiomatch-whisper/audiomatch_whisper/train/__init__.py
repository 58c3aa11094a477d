"""Training: fine-tuning on labelled clips, transcribing first, and low-rank adapters."""
