"""The runner contract with processes on this machine."""
