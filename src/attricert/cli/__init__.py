"""Command line: parse, call, print, exit code."""
