"""From a source framework to the integer graph."""
