"""The pure engine: no clock, no input or output, no logging, no asyncio."""
