-- Take a job out of the delayed set: to its queue now, or away.
--
-- KEYS  1 delayed_queue_schedule  2 queues  3.. with the namespace, no keys themselves:
--       'delayed:', 'timestamps:', 'queue:'
-- ARGV  1 second at which it is due  2 its item  3 bytes of an item for which there is no key
--       timestamps:<item>  4 its queue, '' if it goes away  5 its payload
-- Returns how many equal items there were.

local list = KEYS[3] .. ARGV[1]
local refusal = refuse_unless('list', list)
  or (ARGV[4] ~= '' and refuse_unless_lists({KEYS[5] .. ARGV[4]}) or nil)
if refusal then return refusal end
local count = redis.call('LREM', list, 0, ARGV[2])
if #ARGV[2] <= tonumber(ARGV[3]) then
  redis.pcall('SREM', KEYS[4] .. ARGV[2], 'delayed:' .. ARGV[1])
end
if redis.call('EXISTS', list) == 0 then redis.pcall('ZREM', KEYS[1], ARGV[1]) end
if count > 0 and ARGV[4] ~= '' then
  redis.pcall('SADD', KEYS[2], ARGV[4])
  for _ = 1, count do redis.call('RPUSH', KEYS[5] .. ARGV[4], ARGV[5]) end
end
return count
