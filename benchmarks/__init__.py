"""What is measured, by scripts that anyone can run."""
