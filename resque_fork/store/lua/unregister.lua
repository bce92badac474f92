-- Forget a worker that leaves.
--
-- KEYS  1 workers  2 workers:heartbeat  3 fork:workers  4 fork:pruning  5 fork:<id>
--       6.. its other keys: worker:<id>, worker:<id>:started, fork:unread:<id>,
--       stat:processed:<id>, stat:failed:<id>, fork:rescued:<token>
-- ARGV  1 id  2 token of its process
-- Returns 1, or 0 if another process has the id now (nothing changed).

local token = redis.pcall('HGET', KEYS[5], 'token')
if type(token) == 'string' and token ~= ARGV[2] then return 0 end
redis.pcall('SREM', KEYS[1], ARGV[1]) -- a key of another type has nothing of ours
redis.pcall('SREM', KEYS[3], ARGV[1])
redis.pcall('HDEL', KEYS[2], ARGV[1])
if redis.pcall('GET', KEYS[4]) == ARGV[1] then redis.call('DEL', KEYS[4]) end
redis.call('DEL', unpack(KEYS, 5))
return 1
