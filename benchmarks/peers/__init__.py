"""Peers whose packages don't agree with this project's: scripts that say what they need, with an environment each.

What belongs here: servers of the races that can't run in the project's environment. What does not: asking them.
"""
