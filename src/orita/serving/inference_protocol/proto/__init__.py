"""The messages of the gRPC service, generated from ``open_inference.proto``; the extra ``grpc`` has what they need."""
