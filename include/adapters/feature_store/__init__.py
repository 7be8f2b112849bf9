"""Feast, and its offline store on the lake."""
