"""Features of a clip: what the audio holds, what the text asks for, and how the two agree."""
