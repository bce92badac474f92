-- Have a job wait for its time.
--
-- KEYS  1 delayed_queue_schedule  2.. with the namespace, no keys themselves: 'delayed:',
--       'timestamps:'
-- ARGV  1 milliseconds from now, or  2 the second at which it is due; '' for the other
--       3 its item  4 bytes of an item for which there is no key timestamps:<item>
-- Returns the second at which it is due: never before the time that was asked for.

local moment = tonumber(ARGV[2])
if not moment then
  local time = redis.call('TIME')
  moment = math.ceil(tonumber(time[1]) + tonumber(time[2]) / 1e6 + tonumber(ARGV[1]) / 1000)
end
local name = string.format('%d', moment)
local list = KEYS[2] .. name
local refusal = refuse_unless('zset', KEYS[1]) or refuse_unless('list', list)
if refusal then return refusal end
local added = redis.pcall('ZADD', KEYS[1], name, name)
if type(added) == 'table' then return added end
local pushed = redis.pcall('RPUSH', list, ARGV[3])
if type(pushed) == 'table' then return pushed end -- a time without a list does no harm
if #ARGV[3] <= tonumber(ARGV[4]) then redis.pcall('SADD', KEYS[3] .. ARGV[3], 'delayed:' .. name) end
return name
