"""48 kHz to 16 kHz and back, for audio WebSockets: state per stream and direction.

Flat to 6.8 kHz, 75 dB down from 8.2 kHz on; what lies between 8.2 and 8 kHz folds into the top 0.2 kHz of the band and no
lower.  Holds the audio back for DELAY_MS, where ready-made streaming resamplers take 20 ms and more.

Shapes: 16-bit samples in the machine's byte order, any number of them (48 kHz: a multiple of three; ValueError
otherwise).  Cost: some 10 us for 20 ms.
"""

DELAY_MS: float
TAPS: int  # of the filter, at 48 kHz

class Decimator:
    def __call__(self, pcm: bytes | bytearray) -> bytes: ...

class Interpolator:
    def __call__(self, pcm: bytes | bytearray) -> bytes: ...

def swapped(pcm: bytes | bytearray) -> bytes:
    """Whole 16-bit samples in the other byte order."""
