-- In front of the scripts that queue a tracked job, or delay it.

-- Write the first status of a job. `statuses` is the sorted set _statuses, `kill` the set _kill, and
-- `own` is fork:statuses, by which ids whose statuses have expired are taken out of all three.
local function begin_status(prefix, statuses, own, kill, id, text, due)
  write_status(prefix .. id, text, STATUS_KEPT_SECONDS, due)
  local now = tonumber(redis.call('TIME')[1])
  redis.pcall('ZADD', statuses, now, id)
  redis.pcall('ZADD', own, (due or now) + STATUS_KEPT_SECONDS, id)
  local old = redis.pcall('ZRANGEBYSCORE', own, '-inf', now, 'LIMIT', 0, 10)
  if old['err'] then return end
  for _, each in ipairs(old) do
    if redis.call('EXISTS', prefix .. each) == 1 then
      redis.pcall('ZADD', own, now + STATUS_KEPT_SECONDS, each)
    else
      redis.pcall('ZREM', statuses, each)
      redis.pcall('ZREM', own, each)
      redis.pcall('SREM', kill, each)
    end
  end
end
