"""One interface over a trained model's formats. Pure."""
