"""The HTTP side of the server: routes, middlewares, streams, documents."""
