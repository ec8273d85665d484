"""Traces, metrics and logs over OTLP/HTTP, the protocol of OpenTelemetry: to a collector, or whatever speaks it."""
