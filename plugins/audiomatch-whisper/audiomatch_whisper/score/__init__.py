"""The score: from log-mel and texts to features of each text, and their logit of match."""
