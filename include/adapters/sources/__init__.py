"""Files and deliveries of sources."""
