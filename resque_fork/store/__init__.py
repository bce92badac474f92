"""Everything that is said to Redis, one module per noun.

There are two ways to send a command: `Client` for applications and tools, and
`WorkerConnection` for workers. Both raise the errors of this package; `refusals` translates
what redis-py raises. Steps that must be atomic are Lua scripts in ``lua/``, one verb each.
Modules that import redis are themselves imported when the first connection is made.
"""
