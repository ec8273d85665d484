"""The Open Inference Protocol, version 2, over REST and gRPC: tensors in, tensors out, by the names a package has.

A thin face on model packages for programs that know the protocol (the clients of KServe, Triton, MLServer): it takes
the values of features as they are given, reads no store and logs no prediction. `routes` has REST, `grpc_service` gRPC
(extra ``grpc``), `models` what both need of a server. ``docs/inference_protocol.md`` says what of the protocol is here.
"""
