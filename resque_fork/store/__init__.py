"""Everything that is said to Redis, one module per noun.

The modules are written against `Commands`, which both a redis-py client and
the worker's own `Line` satisfy. Steps that must be atomic are Lua scripts in
``lua/``, one verb each.
"""
