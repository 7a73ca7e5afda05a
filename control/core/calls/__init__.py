"""Sessions commanded over REST."""
