-- In front of the scripts that know when schedules had their last ticks.
--
-- In the hash fork:ticks an entry is '<second> <timing>', by the schedule's name. With a minus
-- before the second there was no tick yet: ticks are counted from there.

local FRESH = 600 -- seconds for which a schedule lasts that workers declare

local function now()
  return tonumber(redis.call('TIME')[1])
end

-- The second of the last tick; nothing if there is none with this timing.
local function last_tick(ticks, name, timing)
  local second, last_timing = string.match(redis.call('HGET', ticks, name) or '', '^%-?(%d+) (.*)$')
  return last_timing == timing and tonumber(second) or nil
end

-- Count the ticks of a schedule from now on, unless they are counted. A tick that is far in the
-- future does not count: a clock was wrong.
local function count_from_now(ticks, name, timing)
  local last = last_tick(ticks, name, timing)
  if not last or last > now() + 60 then
    redis.call('HSET', ticks, name, '-' .. string.format('%d', now()) .. ' ' .. timing)
  end
end

-- Whether workers declare a schedule, these days.
local function is_declared(renewals, name)
  local renewed = redis.call('ZSCORE', renewals, name)
  return renewed and tonumber(renewed) > now() - FRESH
end
