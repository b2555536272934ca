"""The websocket gateway: identify, viewport, snapshot, then exactly the changes a client may see."""
