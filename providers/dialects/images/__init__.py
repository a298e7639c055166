"""Image services whose API is like no other."""
