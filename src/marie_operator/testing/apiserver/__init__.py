"""A Kubernetes API server inside the process: real semantics in memory, for tests and demos, never for production."""
