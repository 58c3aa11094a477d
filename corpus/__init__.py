"""Generator of the mini-screener corpus."""
