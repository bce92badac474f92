-- Note whether a signal has paused a worker, for those who look at workers.
--
-- KEYS  1 fork:<id>
-- ARGV  1 token of the worker's process  2 1 if it is paused, else 0
-- Returns 1, or 0 if this process is not registered (nothing changed).

if redis.pcall('HGET', KEYS[1], 'token') ~= ARGV[1] then return 0 end
if ARGV[2] == '1' then redis.call('HSET', KEYS[1], 'paused', 1)
else redis.call('HDEL', KEYS[1], 'paused') end
return 1
