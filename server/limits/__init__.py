"""What a key may use: reserved before racers start, settled by what they took."""
