"""How bytes become requests and answers bytes: the protocol, bodies, refusals, what every face has."""
