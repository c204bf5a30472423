"""Several streams as one service: configuration, supervision, health, metrics, log. ``SERVICE.md`` is for its users."""
