"""One call to a provider, from its dialect's request to the chunks of its answer."""
