-- The tick of a schedule: its job goes to its queue, unless it did for this tick.
--
-- KEYS  1 fork:ticks  2 the hash that has the schedule  3 fork:schedules:paused  4 queues
--       5 the queue  6 delayed:last_enqueued_at  7 lock of Ruby's scheduler, if that would tick
-- ARGV  1 name  2 the schedule as it was read  3 timing  4 the tick's second  5 name of the queue
--       6 payload  7 the tick's time, as Ruby writes it
-- Returns done; known, if another clock was first; changed, if the schedule is another by now;
--       paused; or ruby, if that scheduler has come.

if KEYS[7] and redis.call('EXISTS', KEYS[7]) == 1 then return 'ruby' end
local refusal = refuse_unless('hash', KEYS[1]) or refuse_unless('hash', KEYS[2])
  or refuse_unless('set', KEYS[3]) or refuse_unless('list', KEYS[5])
if refusal then return refusal end
local name, timing, second = ARGV[1], ARGV[3], ARGV[4]
if redis.call('HGET', KEYS[2], name) ~= ARGV[2] then return 'changed' end
if redis.call('SISMEMBER', KEYS[3], name) == 1 then return 'paused' end
local last = last_tick(KEYS[1], name, timing)
if not last then return 'changed' end
if last >= tonumber(second) then return 'known' end

local before = redis.call('HGET', KEYS[1], name)
redis.call('HSET', KEYS[1], name, second .. ' ' .. timing)
local pushed = redis.pcall('RPUSH', KEYS[5], ARGV[6])
if type(pushed) ~= 'number' then -- the tick stays due
  redis.call('HSET', KEYS[1], name, before)
  return pushed
end
redis.pcall('SADD', KEYS[4], ARGV[5])
redis.pcall('HSET', KEYS[6], name, ARGV[7])
return 'done'
