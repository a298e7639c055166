"""What operators run beside the server."""
