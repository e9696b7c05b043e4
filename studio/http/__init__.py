"""The HTTP shell of the web studio and the server: hosts, limits, errors, listening."""
