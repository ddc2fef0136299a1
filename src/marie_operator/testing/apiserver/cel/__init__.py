"""CEL, the language of rules in definitions, as Kubernetes offers it: read, checked against types, evaluated."""
