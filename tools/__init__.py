"""Scripts that set up, check and run the repository; not part of the installed package."""
