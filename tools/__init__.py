"""What builds and runs the repository; no part of the module."""
