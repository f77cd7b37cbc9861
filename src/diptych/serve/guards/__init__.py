"""What stands between the network and the routes: each guard wraps an ASGI application."""
