def send_texts(fds: list[int], texts: list[bytes]) -> list[tuple[int, int]]:
    """Send each text as one final, unmasked text frame, without waiting, to the socket beside it.

    Returns (place, bytes of the frame that were sent) of those that were not sent whole: the buffer is full, the
    peer is gone, or the text is over 4 KiB, which is not tried.
    """
