-- Set a schedule for all schedulers, those of other languages too.
--
-- KEYS  1 persistent_schedules  2 schedules_changed  3 fork:schedules  4 fork:schedules:renewed
--       5 fork:ticks
-- ARGV  1 name  2 timing  3 the schedule  4 what only ours know of it
-- Returns 1, or 0 if workers declare a schedule of this name.

local refusal = refuse_unless('hash', KEYS[1]) or refuse_unless('set', KEYS[2])
  or refuse_unless('hash', KEYS[3]) or refuse_unless('zset', KEYS[4])
  or refuse_unless('hash', KEYS[5])
if refusal then return refusal end
if is_declared(KEYS[4], ARGV[1]) then return 0 end
redis.call('ZREM', KEYS[4], ARGV[1])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('HSET', KEYS[3], ARGV[1], ARGV[4])
redis.call('SADD', KEYS[2], ARGV[1])
count_from_now(KEYS[5], ARGV[1], ARGV[2])
return 1
