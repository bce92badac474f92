-- In front of the scripts that tell how long jobs wait. The clock marks the job at the end of a
-- queue: the hash fork:marks:<queue> has how many jobs are `left` up to the next that is marked,
-- that one included, and `marks`: when it was marked, in milliseconds since the epoch, then for
-- each mark behind it how many jobs further on it is, and when it was marked. Jobs are counted
-- and not compared, so that equal jobs are no trouble.

local function now_in_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- The first mark was reached: when it was made. The next is the first then.
local function reach_mark(mark)
  local marks = redis.call('HGET', mark, 'marks') or ''
  local at, further, behind = string.match(marks, '^(%d+) ?(%d*) ?(.*)$')
  if further and further ~= '' then
    redis.call('HSET', mark, 'left', further, 'marks', behind)
  else
    redis.call('DEL', mark)
  end
  return tonumber(at)
end

-- A job was taken from the front of a queue: the milliseconds that it has waited if it was
-- marked, else ''.
local function waited(mark)
  local left = redis.pcall('HGET', mark, 'left')
  if type(left) ~= 'string' then return '' end
  left = redis.pcall('HINCRBY', mark, 'left', -1)
  if type(left) ~= 'number' or left > 0 then return '' end
  local at = reach_mark(mark)
  return at and math.max(0, now_in_ms() - at) or ''
end
