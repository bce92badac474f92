-- Read schedules, and what is known of their ticks: all at once if there are few, else a part.
--
-- KEYS  1 persistent_schedules  2 fork:schedules  3 fork:ticks  4 delayed:last_enqueued_at
--       5 fork:schedules:renewed  6 fork:schedules:paused
-- ARGV  1-6 for each key, where to go on: '0' at first, '' if all of it has been read
-- Returns {seconds, wrong, {cursor, part}, ...}: the time of this server, the keys that hold
-- something else than they should, and for each key where to go on, and what was read, nothing
-- for those

local COUNT = 500 -- entries of a key that are read at once, if there are more
local wrong = {}
local reply = {redis.call('TIME')[1], wrong}

local function read(i, kind, scan)
  local found = {'', {}}
  if ARGV[i] ~= '' then
    if refuse_unless(kind, KEYS[i]) then
      wrong[#wrong + 1] = KEYS[i]
    else
      found = redis.call(scan, KEYS[i], ARGV[i], 'COUNT', COUNT)
      if found[1] == '0' then found[1] = '' end
    end
  end
  reply[#reply + 1] = found
end

for i = 1, 4 do read(i, 'hash', 'HSCAN') end
read(5, 'zset', 'ZSCAN')
read(6, 'set', 'SSCAN')
return reply
