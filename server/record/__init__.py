"""What is told of races: their stories, the log of them, their file, and the replay."""
