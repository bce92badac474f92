-- In front of the scripts that write what is known of a tracked job, under status:<id of the job>.
-- The text is JSON that begins with its id and its status. What keeps it from being written must
-- not cost a job.

local STATUS_KEPT_SECONDS = 7 * 86400 -- of a job that has not ended, once it is due
local ENDED_KEPT_SECONDS = 86400
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

-- Say of a job that it no longer waits, unless something else is known of it than `before`.
local function end_wait(prefix, id, before, state)
  local text = redis.pcall('GET', prefix .. id)
  local head = '{"uuid":"' .. id .. '","status":"'
  local waits = head .. before .. '"'
  if type(text) ~= 'string' or string.sub(text, 1, #waits) ~= waits then return end
  local seconds = state == 'killed' and ENDED_KEPT_SECONDS or STATUS_KEPT_SECONDS
  write_status(prefix .. id, head .. state .. '"' .. string.sub(text, #waits + 1), seconds)
end

-- Write what is known of a job after an attempt that ended as `finish`. ARGV from `args`: its id, ''
-- if it is not tracked; its status; its status if it fails although it was to come back; seconds
-- for which the status of a job that has ended is kept. `kill` is the set _kill of ids, in which
-- it is no longer needed.
local function end_attempt(prefix, kill, args, finish, due)
  local id, text, if_failed, seconds = unpack(ARGV, args, args + 3)
  if id == '' then return end
  if finish == 'failed' and if_failed ~= '' then text = if_failed end
  local ended = finish == 'done' or finish == 'failed' or finish == 'killed'
  if ended then redis.pcall('SREM', kill, id) end
  write_status(prefix .. id, text, ended and seconds or STATUS_KEPT_SECONDS, due)
end

-- The id of a tracked job, which is the last key of its payload; nothing for others.
local function id_of(payload)
  local id = string.match(string.sub(payload, -ID_BYTES - 9), '^,"id":"([0-9a-f]+)"}$')
  return id and #id == ID_BYTES and id or nil
end
