"""One file a path: handlers that read a request, hand it to the engine and render the answer."""
