-- Mark the jobs at the ends of queues (see marks.lua).
--
-- KEYS  1 queues  2.. with the namespace, no keys themselves: 'queue:', 'fork:marks:'
-- ARGV  1 the first queue to look at, counted from 0
-- Returns the first queue for the next time, because one look is to be short; 0 if all have been
-- looked at.
--
-- Where fewer jobs are left than were counted, others have taken or removed some: from the
-- front, it is assumed.

local MOST_MARKS = 64 -- of a queue; if there are more, half of them go
local KEPT_SECONDS = 86400 -- without a clock
local MOST_WORK, WORK_PER_QUEUE = 3000, 10 -- of one look; the work is that of reading one mark

-- The marks of a queue: how many jobs further on than the one before each is, and when it was
-- made; and the job at which the last one is.
local function read_marks(mark)
  local held = redis.pcall('HMGET', mark, 'left', 'marks')
  local further, at, last = {}, {}, 0
  if not held[1] or not held[2] then return further, at, last end
  for jobs, time in string.gmatch(held[1] .. ' ' .. held[2], '(%d+) (%d+)') do
    further[#further + 1], at[#at + 1] = tonumber(jobs), time
    last = last + further[#further]
  end
  return further, at, last
end

local function write_marks(mark, further, at)
  local parts = {at[1]}
  for i = 2, #at do
    parts[#parts + 1], parts[#parts + 2] = string.format('%d', further[i]), at[i]
  end
  redis.pcall('HSET', mark, 'left', string.format('%d', further[1]),
    'marks', table.concat(parts, ' '))
end

-- Half as many marks, with about the same time between two; the first and the last stay.
local function thinned(further, at)
  local apart = (at[#at] - at[1]) / (MOST_MARKS / 2)
  local fewer, times, jobs = {}, {}, 0
  for i = 1, #at do
    jobs = jobs + further[i]
    if i == 1 or i == #at or at[i] - times[#times] > apart then
      fewer[#fewer + 1], times[#times + 1], jobs = jobs, at[i], 0
    end
  end
  return fewer, times
end

-- Mark the last job, if it is not marked; how many marks there were.
local function mark_last(mark, size, now)
  local further, at, last = read_marks(mark)
  local before, work = last, #at
  while last > size do
    local gone = math.min(further[1], last - size)
    further[1], last = further[1] - gone, last - gone
    if further[1] == 0 then
      table.remove(further, 1)
      table.remove(at, 1)
    end
  end
  if last < size then further[#further + 1], at[#at + 1] = size - last, now end
  if #at > MOST_MARKS then further, at = thinned(further, at) end
  if last ~= size or before ~= last then write_marks(mark, further, at) end
  return work
end

local names = redis.call('SMEMBERS', KEYS[1])
local place, work = tonumber(ARGV[1]), 0
local time = now_in_ms()
local now, expires = string.format('%d', time), math.floor(time / 1000) + KEPT_SECONDS
while place < #names and work < MOST_WORK do
  place = place + 1
  local mark = KEYS[3] .. names[place]
  local size = redis.pcall('LLEN', KEYS[2] .. names[place])
  work = work + WORK_PER_QUEUE
  if type(size) == 'number' and size > 0 then
    work = work + mark_last(mark, size, now)
    redis.pcall('EXPIREAT', mark, expires)
  else
    redis.call('DEL', mark)
  end
end
return place < #names and place or 0
