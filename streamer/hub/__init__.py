"""Many trackers at one endpoint: what ``moodring hub`` runs."""
