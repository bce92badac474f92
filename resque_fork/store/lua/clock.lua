-- Take or renew the lease of the clock, and read what is due in the delayed set.
--
-- KEYS  1 fork:clock  2 delayed_queue_schedule  3 lock of Ruby's scheduler
--       4 fork:workers  5 'delayed:' with the namespace, no key itself
-- ARGV  1 who asks  2 seconds that the lease lasts  3 most items to read
--       4 bytes after which no more are read  5 bytes of an item that is read alone
--       6 '?' for one who cannot tell the ticks of all schedules, '' for others
-- Returns {seconds, microseconds, state, odd, wrong, items, workers}
--       the first two: the time of this server
--       state: held; other, if another has the lease; ruby, if Ruby's scheduler moves jobs
--       odd: members of the set that are no whole seconds
--       wrong: keys that should be lists
--       items: moment, item, moment, item...
--       workers: how many there are
--
-- With a '?' in front of its holder, the lease is for others who can tell more. A lease that cannot
-- be written (the server is full) counts as held: moving frees memory.

local time = redis.call('TIME')
local workers = redis.pcall('SCARD', KEYS[4])
local reply = {time[1], time[2], 'held', {}, {}, {}, type(workers) == 'number' and workers or 0}
local holder = redis.pcall('GET', KEYS[1])
local others = type(holder) == 'string' and holder ~= ARGV[1] and holder ~= '?' .. ARGV[1]
if others and not (string.sub(holder, 1, 1) == '?' and ARGV[6] == '') then
  reply[3] = 'other'
  return reply
end
redis.pcall('SET', KEYS[1], ARGV[6] .. ARGV[1], 'EX', ARGV[2])
if redis.call('EXISTS', KEYS[3]) == 1 then
  reply[3] = 'ruby'
  return reply
end
local refusal = refuse_unless('zset', KEYS[2])
if refusal then return refusal end

local odd, wrong, items, empty, bytes = reply[4], reply[5], reply[6], {}, 0
local most, enough, alone = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])

-- Read the items of one time; whether that is enough.
local function read(moment, list)
  local index = 0
  local item = redis.call('LINDEX', list, 0)
  while item do
    if #item > alone and #items > 0 then return true end
    items[#items + 1], items[#items + 2] = moment, item
    bytes, index = bytes + #item, index + 1
    if bytes >= enough or #items >= 2 * most or #item > alone then return true end
    item = redis.call('LINDEX', list, index)
  end
  return false
end

-- Times without a list are taken out: other schedulers leave some behind.
local function done()
  for _, moment in ipairs(empty) do redis.call('ZREM', KEYS[2], moment) end
  return reply
end

-- Page by page: odd ones, of which there may be any number, hide nothing behind them.
for offset = 0, 9000, 1000 do
  local moments = redis.call(
    'ZRANGEBYSCORE', KEYS[2], '-inf', time[1], 'LIMIT', offset, 1000)
  for _, moment in ipairs(moments) do
    local list = KEYS[5] .. moment
    local kind = redis.call('TYPE', list)['ok']
    if not string.match(moment, '^%d+$') then
      odd[#odd + 1] = moment
    elseif kind == 'none' then
      empty[#empty + 1] = moment
    elseif kind ~= 'list' then
      wrong[#wrong + 1] = list
    elseif read(moment, list) then
      return done()
    end
  end
  if #moments < 1000 then break end
end
return done()
