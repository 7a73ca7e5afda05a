"""The REST contract: operations, the order of checks, refusals."""
