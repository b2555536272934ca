"""What runs: Litestar apps and asyncio workers. Nothing here knows how it is deployed."""
