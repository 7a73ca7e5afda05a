"""Broken audio files at the decode boundary: whatever is in them, it ends in samples or in FileError.

An input is a sound file of each format (the first byte chooses) and what happens to it: bytes overwritten, a
piece cut out, the end cut off.  Or it is the file itself.
"""

import io
import os
import sys

import atheris
import numpy as np
import soundfile
from guard import Guarded

with atheris.instrument_imports(include=["roomtone.engine.decoder"]):
    from roomtone.engine.decoder import Decoder, FileError, Opened

from roomtone.ext.file.decoder import SECOND_BYTES, Growing

NARROW = 8000
LEAD = 4  # bytes that choose and cut before those that overwrite
ITSELF = 255  # the first byte of an input that is no list of changes
CHANGE = 3  # bytes of a change: place (2), value


def sample(rate: int, channels: int, **coding: str) -> bytes:
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(rate // 12) / rate)
    file = io.BytesIO()
    soundfile.write(file, np.tile(tone[:, None], channels), rate, **coding)
    return file.getvalue()


FILES = (
    sample(8000, 1, format="WAV", subtype="PCM_16"),
    sample(44_100, 2, format="WAV", subtype="FLOAT"),
    sample(8000, 1, format="WAV", subtype="IMA_ADPCM"),
    sample(8000, 1, format="WAV", subtype="GSM610"),
    sample(8000, 1, format="WAVEX", subtype="ULAW"),
    sample(16_000, 2, format="FLAC", subtype="PCM_16"),
    sample(8000, 1, format="OGG", subtype="VORBIS"),
    sample(8000, 1, format="OGG", subtype="OPUS"),
    sample(16_000, 1, format="MP3", subtype="MPEG_LAYER_III"),
)
GUARD = Guarded(SECOND_BYTES)
COMES = 0o1600  # mode of a file of which more comes
DESCRIPTORS = "/proc/self/fd"


@atheris.instrument_func
def broken(data: bytes) -> bytes:
    if len(data) < LEAD or data[0] == ITSELF:
        return data
    file = bytearray(FILES[data[0] % len(FILES)])
    place = data[1] * len(file) // 256
    del file[place : place + data[2] // 16]
    for i in range(LEAD, len(data) - CHANGE + 1, CHANGE):
        file[int.from_bytes(data[i : i + 2], "big") % len(file)] = data[i + 2]
    return bytes(file[: len(file) * (256 - data[3] // 4) // 256])


@atheris.instrument_func
def decode(decoder: Decoder) -> None:
    rooms = [GUARD.at_end(bytes(SECOND_BYTES)), memoryview(bytearray(SECOND_BYTES))]
    for first in (0, 1, 0):
        made, _ = decoder.run(first, rooms)
        assert all(samples == NARROW for samples in made[:-1])
        for samples, room in zip(made, rooms, strict=False):
            pcm = np.frombuffer(room, np.int16)
            assert 0 <= samples <= NARROW
            assert not pcm[samples:NARROW].any() and not pcm[NARROW + 2 * samples :].any()


@atheris.instrument_func
def test_one_input(data: bytes) -> None:
    """As a whole file, and as the beginning of one whose rest nobody waits for."""
    try_as(data, 0o600)
    try_as(data, COMES)


def try_as(data: bytes, mode: int) -> None:
    before = len(os.listdir(DESCRIPTORS))
    fd = os.memfd_create("fuzz")
    os.fchmod(fd, mode)
    os.pwrite(fd, broken(data), 0)
    file = Growing(fd)
    file.give_up()
    try:
        decoder = Decoder(Opened(file, fd, ("fuzz",)))
    except FileError as error:
        assert str(error)
    else:
        assert 0 < decoder.seconds <= 24 * 3600
        decode(decoder)
        decoder.close()
    assert len(os.listdir(DESCRIPTORS)) == before


if __name__ == "__main__":
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()
