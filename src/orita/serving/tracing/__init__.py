"""What a request did, step by step: spans of those requests that are recorded."""
