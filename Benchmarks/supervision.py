"""The processes that watch over a container."""

import json
import os
import time

RUNNING = "/run/callgate"


def supervision(container, seconds=10):
    """The supervisor and the inspector of the container with this id, or with one that begins so where a dash is the end."""
    deadline = time.monotonic() + seconds
    while True:
        for name in os.listdir(RUNNING):
            try:
                with open(os.path.join(RUNNING, name, "supervisor.json"), encoding="utf-8") as file:
                    state = json.load(file)
            except (FileNotFoundError, NotADirectoryError, ValueError):
                continue
            if state["id"] == container or (container.endswith("-") and state["id"].startswith(container)):
                return {"supervisor": state["supervisor"], "inspector": state["inspector"]}
        if time.monotonic() > deadline:
            raise RuntimeError(f"nobody supervises {container}")
        time.sleep(0.05)
