-- In front of every script: what more than one of them needs.

-- Text as a JSON string, escaped as Ruby and Python do it.
local function json_string(text)
  local escapes = {
    ['"'] = '\\"', ['\\'] = '\\\\', ['\b'] = '\\b',
    ['\t'] = '\\t', ['\n'] = '\\n', ['\f'] = '\\f', ['\r'] = '\\r',
  }
  return '"' .. string.gsub(text, '[%z\1-\31"\\]', function(c)
    return escapes[c] or string.format('\\u%04x', string.byte(c))
  end) .. '"'
end

-- A worker's record up to its payload; '}' follows the payload.
local function record_head(queue, run_at)
  return '{"queue":' .. json_string(queue) .. ',"run_at":"' .. run_at .. '","payload":'
end

-- The job on record: queue, run_at, payload and whether it is fit to be read by
-- others; nothing if there is none. `fork` knows how long the record's head is.
local function on_record(fork, worker, unread)
  local held = redis.call('HMGET', fork, 'queue', 'run_at')
  local queue, run_at = held[1], held[2]
  if not queue then return nil end
  local record = redis.pcall('GET', worker)
  if type(record) == 'string' then
    return queue, run_at, string.sub(record, #record_head(queue, run_at) + 1, -2), true
  end
  local payload = redis.pcall('HGET', unread, 'payload')
  if type(payload) == 'string' then return queue, run_at, payload, false end
  return nil
end

-- Whether there is a job on record, in either of its places.
local function has_record(worker, unread)
  local found = redis.call('TYPE', worker)['ok']
  if found ~= 'none' then return found == 'string' end
  return redis.call('TYPE', unread)['ok'] == 'hash'
end

-- Whether a peer of another language has taken the worker off: it removes both.
local function is_pruned(workers, started, id)
  return redis.pcall('SISMEMBER', workers, id) == 0 and redis.call('EXISTS', started) == 0
end

-- Whether every byte of the text belongs to a valid UTF-8 character, as far as it can be told
-- in a moment: of very many that are not ASCII it is denied.
local function is_utf8(text)
  if not string.find(text, '[\128-\255]') then return true end
  if #string.gsub(text, '[%z\1-\127]+', '') > 16384 then return false end -- takes too long
  local valid = {
    '\240[\144-\191][\128-\191][\128-\191]', '[\241-\243][\128-\191][\128-\191][\128-\191]',
    '\244[\128-\143][\128-\191][\128-\191]', '\224[\160-\191][\128-\191]',
    '[\225-\236\238\239][\128-\191][\128-\191]', '\237[\128-\159][\128-\191]',
    '[\194-\223][\128-\191]',
  }
  for _, pattern in ipairs(valid) do text = string.gsub(text, pattern, '?') end
  return not string.find(text, '[\128-\255]')
end

-- Whether JSON, whose strings are empty, is nested more than 99 levels deep.
local function is_deep(json)
  local brackets = string.gsub(json, '[^%[%]{}]', '')
  if #brackets <= 198 then return false end
  local depth = 0
  for i = 1, #brackets do
    local byte = string.byte(brackets, i)
    depth = depth + ((byte == 91 or byte == 123) and 1 or -1) -- [ or {
    if depth > 99 then return true end
  end
  return false
end

-- Whether JSON, whose strings are empty, has nothing else in it than JSON has, and no more
-- than others can read: Redis' decoder also lets NaN, Infinity, 0x1F, 01 and `1.` pass,
-- numbers too large for a float, and ten times as many levels as Ruby's.
local function is_plain(json)
  if is_deep(json) then return false end
  for word in string.gmatch(json, '[^%s,:{}%[%]"]+') do
    if #word > 400 then return false end -- no number that a float holds; patterns go over it often
    if word ~= 'true' and word ~= 'false' and word ~= 'null' then
      local whole, fraction, exponent = string.match(word, '^%-?(%d+)(%.?%d*)([eE]?[+-]?%d*)$')
      if not whole or string.find(whole, '^0%d') or fraction == '.' then return false end
      if exponent ~= '' and not string.find(exponent, '^[eE][+-]?%d+$') then return false end
      if math.abs(tonumber(word)) == math.huge then return false end
    end
  end
  return true
end

-- Whether the payload may stand in `worker:<id>`, where bad JSON stops Ruby
-- workers and dashboards. What is refused here is judged again by the worker. The limits
-- keep this under some milliseconds, in which Redis does nothing else.
local function is_fit_for_others(queue, payload)
  if #payload > 65536 or string.sub(payload, 1, 1) ~= '{' then return false end
  if string.find(payload, '[%z\1-\31]') or not is_utf8(payload) or not is_utf8(queue) then
    return false
  end
  local outside = string.gsub(string.gsub(payload, '\\.', ''), '"[^"]*"', '""')
  local _, parts = string.gsub(outside, '[,%[{]', '')
  if parts > 5000 then return false end
  local decoded, job = pcall(cjson.decode, payload)
  return decoded and type(job) == 'table' and type(job['class']) == 'string'
    and is_plain(outside)
end

-- Write a job on the worker's record; whether it is fit for `worker:<id>`.
local function write_record(fork, worker, unread, queue, run_at, payload)
  local fit = is_fit_for_others(queue, payload)
  if fit then
    redis.call('SET', worker, record_head(queue, run_at) .. payload .. '}')
  else
    redis.call('HSET', unread, 'queue', queue, 'run_at', run_at, 'payload', payload)
  end
  redis.call('HSET', fork, 'queue', queue, 'run_at', run_at)
  return fit
end

-- One more worker or child lost with this payload; whether that was one too many. A key
-- that cannot be counted in must not cost the job: it goes on being tried.
local function is_poison(attempts, digest, max_attempts)
  local lost = redis.pcall('HINCRBY', attempts, digest, 1)
  if type(lost) ~= 'number' or lost < tonumber(max_attempts) then return false end
  redis.call('HDEL', attempts, digest)
  return true
end

-- Whether a reply says that the user may not give the command.
local function is_forbidden(reply)
  local problem = type(reply) == 'table' and reply['err'] or ''
  return string.find(problem, 'NOPERM') or string.find(problem, 'ACL failure')
end

-- Whether a reply says that the key holds something else than it should.
local function is_wrong_type(reply)
  return type(reply) == 'table' and string.find(reply['err'] or '', 'WRONGTYPE') ~= nil
end

-- An error reply that names the key if it is there and not of this kind.
local function refuse_unless(kind, key)
  local found = redis.call('TYPE', key)['ok']
  if found == kind or found == 'none' then return nil end
  return redis.error_reply('WRONGTYPE ' .. key .. ' is a ' .. found .. ', not a ' .. kind)
end

-- An error reply for the first of these keys that cannot be pushed to: to be asked
-- before anything is changed, because an error half way would lose what was freed.
-- `no_list` is a key that exists and is none: on it a push fails, saying if it may not be.
local function refuse_unless_lists(keys, no_list)
  for _, key in ipairs(keys) do
    local refusal = refuse_unless('list', key)
    if refusal then return refusal end
  end
  for _, push in ipairs(no_list and keys[1] and {'LPUSH', 'RPUSH'} or {}) do
    local reply = redis.pcall(push, no_list, '')
    if is_forbidden(reply) then return reply end
  end
  return nil
end

-- The lists that the failed entries in ARGV from `first` to `last` go to.
local function failed_lists(first, last)
  local lists = {}
  for i = first, last, 3 do lists[#lists + 1] = ARGV[i] end
  return lists
end

-- Push the failed entries in ARGV from `first` to `last`, three values each: the list's
-- key, its name for the set of failed queues ('' if it is not one), the entry.
local function push_failed(first, last, failed_queues)
  for i = first, last, 3 do
    redis.call('RPUSH', ARGV[i], ARGV[i + 2])
    if ARGV[i + 1] ~= '' then redis.pcall('SADD', failed_queues, ARGV[i + 1]) end
  end
end

-- Put a job back to the front of its queue.
local function put_back(queues, queue, queue_key, payload)
  redis.pcall('SADD', queues, queue)
  redis.call('LPUSH', queue_key, payload)
end

-- Count, and never mind a counter that is none: it must not cost a job.
local function count(...)
  for _, key in ipairs({...}) do redis.pcall('INCR', key) end
end

-- Seconds since the epoch as 2026-11-23T06:51:48+00:00.
local function iso_time(seconds)
  local days, rest = math.floor(seconds / 86400), seconds % 86400
  local z = days + 719468 -- days since 0000-03-01, in eras of 400 years
  local era = math.floor(z / 146097)
  local day_of_era = z - era * 146097
  local year_of_era = math.floor((day_of_era - math.floor(day_of_era / 1460)
    + math.floor(day_of_era / 36524) - math.floor(day_of_era / 146096)) / 365)
  local day = day_of_era - (365 * year_of_era + math.floor(year_of_era / 4)
    - math.floor(year_of_era / 100))
  local moved_month = math.floor((5 * day + 2) / 153)
  day = day - math.floor((153 * moved_month + 2) / 5) + 1
  local month = moved_month < 10 and moved_month + 3 or moved_month - 9
  local year = year_of_era + era * 400 + (month <= 2 and 1 or 0)
  return string.format('%04d-%02d-%02dT%02d:%02d:%02d+00:00', year, month, day,
    math.floor(rest / 3600), math.floor(rest % 3600 / 60), rest % 60)
end

