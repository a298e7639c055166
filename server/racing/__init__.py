"""The race, and everything that decides who takes part in it and when."""
