-- Put the bytes of a payload that stand under a key of their own on record, in place of the
-- payload that names the key.
--
-- KEYS  1 fork:<id>  2 worker:<id>  3 fork:unread:<id>  4 fork:kept:<name>
-- ARGV  1 token of the worker's process  2 number of the step that took the job
-- Returns the payload, or nothing if it is kept no longer.

local state = redis.call('HMGET', KEYS[1], 'token', 'step', 'queue', 'run_at')
if state[1] ~= ARGV[1] or state[2] ~= ARGV[2] or not state[3] then return nil end
local held = redis.pcall('HEXISTS', KEYS[3], 'redeemed')
if held == 1 then return redis.call('HGET', KEYS[3], 'payload') end -- this is repeated
local kind = redis.call('TYPE', KEYS[4])['ok']
if kind == 'string' then
  redis.call('HSET', KEYS[3], 'payload', redis.call('GET', KEYS[4]))
  redis.call('DEL', KEYS[4])
elseif kind == 'hash' then
  redis.call('RENAME', KEYS[4], KEYS[3])
else
  return nil
end
redis.call('DEL', KEYS[2])
redis.call('HDEL', KEYS[3], 'class', 'portable')
redis.call('HSET', KEYS[3], 'queue', state[3], 'run_at', state[4], 'redeemed', 1)
return redis.call('HGET', KEYS[3], 'payload')
