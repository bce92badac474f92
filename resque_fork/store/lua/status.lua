-- In front of the scripts that write what is known of a tracked job, under status:<id of the job>.
-- The text is JSON that begins with its id and its status. What keeps it from being written must
-- not cost a job.

local STATUS_KEPT_SECONDS = 7 * 86400 -- of a job that has not ended, once it is due
local ID_BYTES = 32

-- Write it, to be kept for so many seconds. The second at which the job is `due`, if it waits, is
-- put at the end.
local function write_status(key, text, seconds, due)
  if due then
    text = string.sub(text, 1, -2) .. ',"due":' .. due .. '}'
    seconds = due - redis.call('TIME')[1] + seconds
  end
  redis.pcall('SET', key, text, 'EX', string.format('%d', math.max(1, seconds)))
end

-- Say of a job that it no longer waits for its time, unless something else is known of it.
local function end_delay(prefix, id, state)
  local text = redis.pcall('GET', prefix .. id)
  local head = '{"uuid":"' .. id .. '","status":"'
  local delayed = head .. 'delayed"'
  if type(text) ~= 'string' or string.sub(text, 1, #delayed) ~= delayed then return end
  write_status(prefix .. id, head .. state .. '"' .. string.sub(text, #delayed + 1), STATUS_KEPT_SECONDS)
end

-- Write what is known of a job after an attempt that ended as `finish`. ARGV from `args`: its id, ''
-- if it is not tracked; its status; its status if it fails although it was to come back; seconds
-- for which the status of a job that has ended is kept.
local function end_attempt(prefix, args, finish, due)
  local id, text, if_failed, seconds = unpack(ARGV, args, args + 3)
  if id == '' then return end
  if finish == 'failed' and if_failed ~= '' then text = if_failed end
  local ended = finish == 'done' or finish == 'failed'
  write_status(prefix .. id, text, ended and seconds or STATUS_KEPT_SECONDS, due)
end

-- The id of a tracked job, which is the last key of its payload; nothing for others.
local function id_of(payload)
  local id = string.match(string.sub(payload, -ID_BYTES - 9), '^,"id":"([0-9a-f]+)"}$')
  return id and #id == ID_BYTES and id or nil
end
