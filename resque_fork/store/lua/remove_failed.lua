-- Remove entries from a list of failed jobs, by value.
--
-- KEYS  1 list of failed entries
-- ARGV  two values an entry: place where it was shown, the entry as it was shown
-- Returns for each entry 1, or 0 if it is no longer in the list.

-- First mark, then remove: places stay true until all are found. The search for a
-- mark starts at the end of the list that it is nearer to.
local mark = 'removed:' .. redis.sha1hex(table.concat(ARGV, '\0'))
redis.call('LTRIM', KEYS[1], 0, -1) -- changes nothing, but a full Redis then takes the marks
local done, marked, length = {}, 0, redis.call('LLEN', KEYS[1])
local from_the_end = (tonumber(ARGV[1]) or 0) * 2 > length
for i = 1, #ARGV, 2 do
  local place = tonumber(ARGV[i])
  if redis.call('LINDEX', KEYS[1], place) ~= ARGV[i + 1] then
    place = redis.call('LPOS', KEYS[1], ARGV[i + 1])
  end
  if place then
    redis.call('LSET', KEYS[1], place, mark)
    marked = marked + 1
  end
  done[#done + 1] = place and 1 or 0
end
if marked > 0 then
  redis.call('LREM', KEYS[1], from_the_end and -marked or marked, mark)
end
return done
