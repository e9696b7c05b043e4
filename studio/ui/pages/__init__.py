"""One file a page: `build` lays it out and binds its events. What they do is in studio.app."""
