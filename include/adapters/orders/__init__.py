"""Files and deliveries of orders."""
