"""The network: weights, encoder, decoder and softmax, without padding and without repeats."""
