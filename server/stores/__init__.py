"""What the server keeps: images and responses."""
