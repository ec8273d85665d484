"""What is answered: the ASGI app, the predict path, the champion it follows, the prediction log it writes."""
