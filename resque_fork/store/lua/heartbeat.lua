-- Say that a worker lives, and register it where it is not registered (any more).
--
-- KEYS  1 workers  2 worker:<id>:started  3 workers:heartbeat  4 fork:<id>  5 fork:workers
-- ARGV  1 id  2 token of its process  3 number of its last step  4 time of its start
--       5.. what identifies the process: names and values for fork:<id>
-- Returns 'registered', 'known' if it already was, 'replaced' if fork:<id> held something
-- else, or 'taken' (nothing changed) if another process is registered under this id.

local token = redis.pcall('HGET', KEYS[4], 'token')
local replaced = is_wrong_type(token)
if replaced then token = false end
if type(token) == 'table' then return token end
if token and token ~= ARGV[2] then return 'taken' end
local refusal = refuse_unless('set', KEYS[1]) or refuse_unless('hash', KEYS[3])
  or refuse_unless('set', KEYS[5])
if refusal then return refusal end
redis.call('HDEL', KEYS[3], ARGV[1]) -- frees first: a full Redis then takes the rest
if replaced then redis.call('DEL', KEYS[4]) end
if token and is_pruned(KEYS[1], KEYS[2], ARGV[1]) then -- and its present job with it
  redis.call('HSET', KEYS[4], 'pruned', redis.call('HGET', KEYS[4], 'step'))
end
local now = iso_time(tonumber(redis.call('TIME')[1]))
redis.call('HSET', KEYS[3], ARGV[1], now)
redis.call('HSET', KEYS[4], 'beat', now) -- where no peer of another language removes it
local added = redis.call('SADD', KEYS[5], ARGV[1]) + redis.call('SADD', KEYS[1], ARGV[1])
if added == 0 and token then return 'known' end
redis.call('SETNX', KEYS[2], ARGV[4])
redis.call('HSETNX', KEYS[4], 'step', ARGV[3])
redis.call('HSETNX', KEYS[4], 'finish', 'none')
redis.call('HSET', KEYS[4], 'token', ARGV[2], unpack(ARGV, 5))
return replaced and 'replaced' or 'registered'
