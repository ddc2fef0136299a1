"""The gateway's wire: its HTTP API with its recorded oddities, and the monitor that follows documents through it."""
