"""The record of races: their stories, the log of them, its file, and the replay."""
