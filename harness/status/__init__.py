"""What a results folder has, what is being measured in it, what went wrong and what is left: from its files alone."""

from harness.status.read import PointStatus, Server, Status, read
from harness.status.text import render, time_left

__all__ = ["PointStatus", "Server", "Status", "read", "render", "time_left"]
