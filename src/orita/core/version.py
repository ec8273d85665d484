"""The version of Orita, recorded in everything it writes."""

VERSION = "0.1.0"
