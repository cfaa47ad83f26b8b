"""The command line. Imports nothing heavy until a run starts."""
