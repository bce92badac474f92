-- Take a job out of the delayed set: to its queue now, or away.
--
-- KEYS  1 delayed_queue_schedule  2 queues  3.. with the namespace, no keys themselves:
--       'delayed:', 'timestamps:', 'queue:', 'status:', 'fork:retry:'  8 fork:retries
-- ARGV  1 second at which it is due  2 its item  3 its queue, '' if it goes away  4 its payload
--       5 id of the job, '' if it is not tracked
--       6 for one that goes away: digest by which its retries are counted, '' if it has none
-- Returns how many equal items there were.

local queue = ARGV[3] ~= '' and KEYS[5] .. ARGV[3] or nil
local refusal = refuse_unless('list', KEYS[3] .. ARGV[1]) or refuse_unless_lists({queue})
if refusal then return refusal end
local count = take_out(KEYS[1], KEYS[3], KEYS[4], ARGV[1], ARGV[2], 0)
if count > 0 and queue then
  redis.pcall('SADD', KEYS[2], ARGV[3])
  for _ = 1, count do redis.call('RPUSH', queue, ARGV[4]) end
end
if count > 0 and ARGV[5] ~= '' then
  end_wait(KEYS[6], ARGV[5], 'delayed', queue and 'queued' or 'killed')
end
if count > 0 and ARGV[6] ~= '' then
  end_retries(KEYS[8], KEYS[7] .. ARGV[6], ARGV[6], ARGV[1], count)
end
return count
