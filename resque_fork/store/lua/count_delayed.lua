-- Count the delayed jobs that are due at some of the times.
--
-- KEYS  1 delayed_queue_schedule  2 'delayed:', with the namespace, no key itself
-- ARGV  1 place of the first time, the earliest is at 0  2 number of times
-- Returns {times that were there, jobs}

local refusal = refuse_unless('zset', KEYS[1])
if refusal then return refusal end
local jobs = 0
local times = redis.call('ZRANGE', KEYS[1], ARGV[1], ARGV[1] + ARGV[2] - 1)
for _, time in ipairs(times) do
  local size = redis.pcall('LLEN', KEYS[2] .. time)
  if type(size) == 'number' then jobs = jobs + size end
end
return {#times, jobs}
