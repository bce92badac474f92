-- In front of the scripts that count: `metrics` is the hash fork:metrics, in which a field is the
-- name of what is counted and its labels, with tabs between them. The keys of what stands beside
-- it begin with its name: the sets :queues and :classes of names that are counted by themselves,
-- and for each minute of the last day a hash of outcomes, :<second at which it began>.

local MOST_NAMES = 500
local MINUTES_KEPT_SECONDS = 86400

-- The name, if it is one of the first so many, else `other`. What keeps a name from being noted
-- must not cost a job.
local function counted_name(names, name)
  if redis.pcall('SISMEMBER', names, name) == 1 then return name end
  local known = redis.pcall('SCARD', names)
  if type(known) ~= 'number' or known >= MOST_NAMES then return 'other' end
  redis.pcall('SADD', names, name)
  return name
end

-- Count how an attempt of a job has ended. ARGV from `args`: its queue, its class, and what its
-- process died of, '' if it did not; nothing is counted without a class.
local function count_outcome(metrics, args, outcome)
  if ARGV[args + 1] == '' then return end
  local queue = counted_name(metrics .. ':queues', ARGV[args])
  local class = counted_name(metrics .. ':classes', ARGV[args + 1])
  local jobs = table.concat({'jobs', queue, class, outcome}, '\t')
  local now = tonumber(redis.call('TIME')[1])
  local began = now - now % 60
  local minute = metrics .. ':' .. began
  redis.pcall('HINCRBY', metrics, jobs, 1)
  if redis.pcall('HINCRBY', minute, jobs, 1) == 1 then
    redis.pcall('EXPIREAT', minute, began + MINUTES_KEPT_SECONDS)
  end
  if ARGV[args + 2] ~= '' then
    redis.pcall('HINCRBY', metrics, table.concat({'deaths', class, ARGV[args + 2]}, '\t'), 1)
  end
end
