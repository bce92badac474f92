-- Read all schedules, and what is known of their ticks.
--
-- KEYS  1 persistent_schedules  2 fork:schedules  3 fork:ticks  4 delayed:last_enqueued_at
--       5 fork:schedules:renewed  6 fork:schedules:paused
-- ARGV  none
-- Returns {seconds, wrong, ...}: the time of this server, the keys that hold something else than
-- they should, and what the keys hold, nothing for those

local wrong = {}
local reply = {redis.call('TIME')[1], wrong}

local function read(kind, key, ...)
  local refusal = refuse_unless(kind, key)
  if refusal then wrong[#wrong + 1] = key end
  reply[#reply + 1] = refusal and {} or redis.call(...)
end

for i = 1, 4 do read('hash', KEYS[i], 'HGETALL', KEYS[i]) end
read('zset', KEYS[5], 'ZRANGE', KEYS[5], 0, -1, 'WITHSCORES')
read('set', KEYS[6], 'SMEMBERS', KEYS[6])
return reply
