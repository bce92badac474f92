-- Move items that are due from the delayed set to their queues, or to the failed list.
--
-- KEYS  1 delayed_queue_schedule  2 queues  3 failed_queues  4 lock of Ruby's scheduler
--       5.. with the namespace, no keys themselves: 'delayed:', 'timestamps:', 'queue:',
--       'status:'
-- ARGV  for each item: moment, item, its queue; the bytes of the item that are its payload,
--       once '}' follows them, 0 for all of them, or -1 if it goes to the failed list; number
--       of values for failed entries, and these (see push_failed)
-- Returns how many were moved, then the keys that are in the way, each once: of a queue that is
-- no list the items stay where they are. Moves nothing while Ruby's scheduler does.
--
-- An item is taken only where it still stands: however many move, each is moved once. The first
-- that is gone ends it, because another clock is at work.

local LISTS, INDEX, QUEUES, STATUS_PREFIX = KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local reply, named = {0}, {}
if redis.call('EXISTS', KEYS[4]) == 1 then return reply end

-- Push what has become of an item to a list. If that is refused the item waits on, and nothing
-- is lost; what of it stands in other lists by then stays there.
local function pushed(list, value, moment, item)
  if type(redis.pcall('RPUSH', list, value)) == 'number' then return true end
  redis.call('LPUSH', LISTS .. moment, item)
  redis.call('ZADD', KEYS[1], moment, moment)
  return false
end

-- What keeps an item from its queue or lists, if anything does.
local function in_the_way(targets)
  for _, key in ipairs(targets) do
    local found = redis.pcall('TYPE', key)
    if found['err'] or (found['ok'] ~= 'list' and found['ok'] ~= 'none') then return key end
  end
end

local i = 1
while i <= #ARGV do
  local moment, item, queue, cut, values = unpack(ARGV, i, i + 4)
  local first, last = i + 5, i + 4 + tonumber(values)
  i = last + 1
  local fails = cut == '-1'
  local key = in_the_way(fails and failed_lists(first, last) or {QUEUES .. queue})
  local moved = false
  if not key then
    if take_out(KEYS[1], LISTS, INDEX, moment, item, 1) == 0 then return reply end
    if fails then
      moved = true
      for value = first, last, 3 do
        key = ARGV[value]
        moved = moved and pushed(key, ARGV[value + 2], moment, item)
        if ARGV[value + 1] ~= '' then redis.pcall('SADD', KEYS[3], ARGV[value + 1]) end
      end
    else
      key = QUEUES .. queue
      redis.pcall('SADD', KEYS[2], queue)
      local payload = cut == '0' and item or string.sub(item, 1, tonumber(cut)) .. '}'
      moved = pushed(key, payload, moment, item)
      local id = moved and id_of(payload)
      if id then end_wait(STATUS_PREFIX, id, 'delayed', 'queued') end
    end
  end
  if moved then
    reply[1] = reply[1] + 1
  elseif not named[key] then
    named[key] = true
    reply[#reply + 1] = key
  end
end
return reply
