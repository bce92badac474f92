-- Forget a schedule.
--
-- KEYS  1 persistent_schedules  2 schedules_changed  3 fork:schedules  4 fork:schedules:renewed
--       5 fork:ticks  6 fork:schedules:paused
-- ARGV  1 name
-- Returns 1; 0 if there is none; -1 if workers declare it

local refusal = refuse_unless('hash', KEYS[1]) or refuse_unless('set', KEYS[2])
  or refuse_unless('hash', KEYS[3]) or refuse_unless('zset', KEYS[4])
  or refuse_unless('hash', KEYS[5]) or refuse_unless('set', KEYS[6])
if refusal then return refusal end
if is_declared(KEYS[4], ARGV[1]) then return -1 end
local shared = redis.call('HDEL', KEYS[1], ARGV[1])
local own = redis.call('HDEL', KEYS[3], ARGV[1])
redis.call('HDEL', KEYS[5], ARGV[1])
redis.call('SREM', KEYS[6], ARGV[1])
redis.call('ZREM', KEYS[4], ARGV[1])
if shared == 1 then redis.pcall('SADD', KEYS[2], ARGV[1]) end
return math.max(shared, own)
