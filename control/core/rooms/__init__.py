"""Conference rooms: members, playback, and what becomes of them."""
