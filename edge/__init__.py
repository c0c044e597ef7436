"""The edge: HTTP, WebSockets, who is connected, frames, lifetimes, and which filter replica serves what."""
