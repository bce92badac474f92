"""The project's own benchmark: each goal measured, beside the bare fork loop and other systems."""
