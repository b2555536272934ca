"""The live map on AWS: API, websocket gateway and filter processor behind one load balancer."""
