-- Say which schedules a worker declares, and that they go on.
--
-- KEYS  1 fork:schedules  2 fork:schedules:renewed  3 fork:ticks
-- ARGV  1 '1' if the worker has just started: what it declares counts then, and not what others
--       have declared of the same name  2.. name, timing, declaration, name...
-- Returns OK

local refusal = refuse_unless('hash', KEYS[1]) or refuse_unless('zset', KEYS[2])
  or refuse_unless('hash', KEYS[3])
if refusal then return refusal end
for i = 2, #ARGV, 3 do
  local name, timing, declaration = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if ARGV[1] == '1' or not is_declared(KEYS[2], name) then
    redis.call('HSET', KEYS[1], name, declaration)
  end
  if redis.call('HGET', KEYS[1], name) == declaration then
    redis.call('ZADD', KEYS[2], now(), name)
    count_from_now(KEYS[3], name, timing)
  end
end
return 'OK'
