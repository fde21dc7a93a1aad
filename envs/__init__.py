"""The lock files of the environments."""
