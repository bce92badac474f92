-- Note what a job on record is that stands in fork:unread:<id>, once somebody has read it.
--
-- KEYS  1 fork:<id>  2 fork:unread:<id>
-- ARGV  1 token of the worker's process  2 number of the step that took the job
--       3 its class  4 1 if every language can read its payload, else 0
-- Returns 1, or 0 if it is no longer there.

local state = redis.call('HMGET', KEYS[1], 'token', 'step')
if state[1] ~= ARGV[1] or state[2] ~= ARGV[2] then return 0 end
if redis.call('HEXISTS', KEYS[2], 'payload') == 0 then return 0 end
redis.call('HSET', KEYS[2], 'class', ARGV[3], 'portable', ARGV[4])
return 1
