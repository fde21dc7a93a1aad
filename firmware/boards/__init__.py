"""What each board holds."""
