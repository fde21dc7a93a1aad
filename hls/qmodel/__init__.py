"""The integer graph and its interpreter."""
