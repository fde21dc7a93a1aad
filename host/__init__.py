"""Bridge, instruments and policies."""
