-- In front of the scripts that end an attempt of a job: how it comes back.
--
-- KEYS  from `keys`: fork:retries, delayed_queue_schedule; then, with the namespace, no keys
--       themselves: 'delayed:', 'timestamps:', 'fork:retry:', 'queue:'
-- ARGV  from `args`: digest of the job, '' if nothing is known of its retries; then, for one
--       that comes back: milliseconds until then, retries that it has ('' if this one does not
--       count), its queue then, the item that waits, exception, error

local KEPT_SECONDS = 7 * 86400 -- that the state of a job is kept after it is due

-- A count as it stands in a hash; 0 if it is none.
local function whole(text)
  return tonumber(string.match(text or '', '^%d+$') or 0)
end

-- What keeps a job from coming back: an error reply, or nothing. To be asked before anything is
-- changed. `no_zset` is a key that exists and is none: on it ZADD fails, saying if it may not be.
local function refuse_retry(keys, args, no_zset)
  local at_once = ARGV[args + 1] == '0' and {KEYS[keys + 5] .. ARGV[args + 3]} or {}
  local refusal = refuse_unless('zset', KEYS[keys]) or refuse_unless('zset', KEYS[keys + 1])
    or refuse_unless_lists(at_once)
  if refusal then return refusal end
  local reply = redis.pcall('ZADD', no_zset, 0, '')
  return is_forbidden(reply) and reply or nil
end

-- Forget how often a job has failed, unless an equal job waits for its retry: that one counts on.
local function forget_retries(keys, args)
  if ARGV[args] == '' then return end
  local state = KEYS[keys + 4] .. ARGV[args]
  local due = redis.pcall('HGET', state, 'due')
  if type(due) == 'string' and whole(due) > tonumber(redis.call('TIME')[1]) then return end
  redis.call('DEL', state)
  redis.pcall('ZREM', KEYS[keys], ARGV[args])
end

-- Of jobs that were to be retried at a `moment`, so many are taken out: if no other waits, forget
-- how often they have failed.
local function end_retries(retries, state, digest, moment, count)
  local held = redis.pcall('HMGET', state, 'due', 'waiting')
  if held['err'] or held[1] ~= moment then return end
  if whole(held[2]) > count then
    redis.call('HINCRBY', state, 'waiting', -count)
  else
    redis.call('DEL', state)
    redis.pcall('ZREM', retries, digest)
  end
end

-- Remember how often a job has failed and when it is due.
local function note_retry(keys, args, state, held, failures, due, now)
  local waits = whole(held[2])
  local waiting = waits > now and whole(held[3]) or 0
  redis.call('HSET', state, 'attempt', failures, 'due', math.max(due, waits > now and waits or 0),
    'queue', ARGV[args + 3], 'exception', ARGV[args + 5], 'error', ARGV[args + 6],
    'waiting', waiting + (due > now and 1 or 0))
  redis.call('HSETNX', state, 'first', now)
  redis.call('EXPIREAT', state, math.max(due, waits) + KEPT_SECONDS)
  redis.call('ZREMRANGEBYSCORE', KEYS[keys], '-inf', now - KEPT_SECONDS)
  redis.call('ZADD', KEYS[keys], due, ARGV[args])
  local last = redis.call('ZRANGE', KEYS[keys], -1, -1, 'WITHSCORES')
  redis.call('EXPIREAT', KEYS[keys], tonumber(last[2]) + KEPT_SECONDS)
end

-- Have a job come back, in the delayed set or at the end of its queue: 'later', and when it is due
-- if it waits; or 'failed' if it has no retries left. Equal jobs share the state, so what counts is
-- what stands there now.
local function retry(keys, args, queues, payload)
  local limit, queue, item = tonumber(ARGV[args + 2]), ARGV[args + 3], ARGV[args + 4]
  local state = KEYS[keys + 4] .. ARGV[args]
  local held = redis.pcall('HMGET', state, 'attempt', 'due', 'waiting')
  if held['err'] then
    redis.call('DEL', state)
    held = {}
  end
  local failures = whole(held[1]) + (limit and 1 or 0)
  if limit and failures > limit then
    forget_retries(keys, args)
    return 'failed'
  end
  local now, due = tonumber(redis.call('TIME')[1]), nil
  local delay = tonumber(ARGV[args + 1]) / 1000
  if delay == 0 then
    due = now
    redis.pcall('SADD', queues, queue)
    redis.call('RPUSH', KEYS[keys + 5] .. queue, payload)
  else
    due = second_after(delay)
    while refuse_unless('list', KEYS[keys + 2] .. string.format('%d', due)) do due = due + 1 end
    wait_until(KEYS[keys + 1], KEYS[keys + 2], KEYS[keys + 3], due, item)
  end
  note_retry(keys, args, state, held, failures, due, now)
  return 'later', delay > 0 and due or nil
end
