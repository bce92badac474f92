-- Queue failed jobs again, each marked in its entry with the time of the retry.
--
-- KEYS  1 list of failed entries  2 queues
-- ARGV  1 'queue:' with namespace
--       2.. five values an entry: place where it was shown, the entry as it was shown,
--       the entry with retried_at, queue, payload
-- Returns for each entry 1, or 0 if it is no longer in the list (nothing was queued).

local queue_keys, done = {}, {}
for i = 2, #ARGV, 5 do queue_keys[#queue_keys + 1] = ARGV[1] .. ARGV[i + 3] end
local refusal = refuse_unless_lists(queue_keys)
if refusal then return refusal end

for i = 2, #ARGV, 5 do
  local place = tonumber(ARGV[i])
  if redis.call('LINDEX', KEYS[1], place) ~= ARGV[i + 1] then
    place = redis.call('LPOS', KEYS[1], ARGV[i + 1])
  end
  if place then
    redis.call('LSET', KEYS[1], place, ARGV[i + 2])
    redis.call('SADD', KEYS[2], ARGV[i + 3])
    redis.call('RPUSH', ARGV[1] .. ARGV[i + 3], ARGV[i + 4])
  end
  done[#done + 1] = place and 1 or 0
end
return done
