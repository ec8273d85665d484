"""The models that answer: the champion, and others that are asked for by version."""
