-- Look at a dead worker in order to rescue it: who it was, and its job on record.
--
-- KEYS  1 fork:<id>  2 worker:<id>  3 fork:unread:<id>  4 fork:attempts
-- ARGV  1 id  2 rescuers that may die of the job before it is given up
--       3 seconds that a rescuer has to itself  4 who it is
-- Returns {state, fields of fork:<id>, record, queue, class, portable}
--       state: free; busy, if another rescuer has it in hand; hopeless, if rescuers have died
--              of it: then the record is not returned
--       record: that of worker:<id>, or the payload of fork:unread:<id>; absent without a job
--       queue, class, portable: of a job in fork:unread:<id>, as far as they are known
--
-- The look is counted before anybody reads the record: its bytes may take their reader down.

local refusal = refuse_unless('hash', KEYS[1]) or refuse_unless('string', KEYS[2])
if refusal then return refusal end -- nobody can tell what the worker left there
local process, record = redis.call('HGETALL', KEYS[1]), redis.call('GET', KEYS[2])
local held = redis.pcall('HMGET', KEYS[3], 'queue', 'class', 'portable', 'payload')
if held['err'] then held = {} end
if record then held = {} end
if not record and not held[4] then return {'free', process} end

local state, field, now = 'free', 'rescue:' .. ARGV[1], tonumber(redis.call('TIME')[1])
local before = redis.pcall('HGET', KEYS[4], field)
local tries, since, who = string.match(type(before) == 'string' and before or '', '^(%d+) (%d+) (.*)$')
tries = tonumber(tries or 0)
if who and who ~= ARGV[4] and now - tonumber(since) < tonumber(ARGV[3]) then
  return {'busy', process}
elseif who ~= ARGV[4] and tries >= tonumber(ARGV[2]) then
  state = 'hopeless'
elseif who ~= ARGV[4] then
  redis.pcall('HSET', KEYS[4], field, (tries + 1) .. ' ' .. now .. ' ' .. ARGV[4])
end
local bytes = state == 'free' and (record or held[4]) or ''
return {state, process, bytes, held[1] or '', held[2] or '', held[3] or ''}
