"""The formats that we serve: JSON to requests, chunks to JSON. No HTTP in here."""
