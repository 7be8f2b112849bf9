"""The documents, and the scripts that write what is generated in them."""
