"""The one building block for anything that runs in a container: Fargate services, their cluster and image."""
