"""The running process: its start, its workers, its end, and the check before."""
