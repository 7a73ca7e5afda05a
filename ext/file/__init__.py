"""Audio files -> PCM, on side threads: the only layer that may block.

decoder calls libsndfile and libsoxr, which come with the wheels soundfile and soxr, without the GIL: a thread
that runs when nobody else wants to must not hold what others wait for.  Reading order: decoder.pyi, decoder.
"""
