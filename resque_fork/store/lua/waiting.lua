-- In front of the scripts that have items wait in the delayed set, or take them out of it.
--
-- `times` is the key delayed_queue_schedule, `lists` and `index` are 'delayed:' and 'timestamps:'
-- with the namespace.

-- Bytes of an item for which we have a key timestamps:<item>. Ruby has one for each.
local LONGEST_INDEXED = 65536

-- Have an item wait until a second; its name, in digits.
local function wait_until(times, lists, index, second, item)
  local name = string.format('%d', second)
  redis.call('ZADD', times, name, name)
  redis.call('RPUSH', lists .. name, item)
  if #item <= LONGEST_INDEXED then redis.pcall('SADD', index .. item, 'delayed:' .. name) end
  return name
end

-- Take so many equal items of a second out, 0 for all; how many there were.
local function take_out(times, lists, index, name, item, count)
  local taken = redis.call('LREM', lists .. name, count, item)
  redis.pcall('SREM', index .. item, 'delayed:' .. name)
  if redis.call('EXISTS', lists .. name) == 0 then redis.pcall('ZREM', times, name) end
  return taken
end

-- The first whole second that is not before `delay` seconds from now.
local function second_after(delay)
  local time = redis.call('TIME')
  return math.ceil(tonumber(time[1]) + tonumber(time[2]) / 1e6 + delay)
end
