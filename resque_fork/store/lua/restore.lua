-- Put the job that a worker performs back on its record, which Redis has forgotten.
--
-- KEYS  1 fork:<id>  2 worker:<id>  3 fork:unread:<id>  4 fork:rescued:<token>
-- ARGV  1 token of the worker's process  2 number of the step that took the job
--       3 queue of the job, '' if there is none  4 its run_at  5 its payload
--       6 what the step under way says of the job
-- Returns {'unregistered'} if the process is not registered, {'gone'} if a peer has rescued the
-- job, else {'restored', key...} with the keys that held something else and were replaced.
--
-- The step under way may have gone through before its registration was forgotten. Then the
-- record has another job, and that one stays: the step, repeated, returns it.

local fork, worker, unread = KEYS[1], KEYS[2], KEYS[3]
local token = redis.pcall('HGET', fork, 'token')
if token ~= ARGV[1] then return {'unregistered'} end
if redis.pcall('GET', KEYS[4]) == ARGV[2] then return {'gone'} end

local reply = {'restored'}
for key, kind in pairs({[worker] = 'string', [unread] = 'hash'}) do
  local found = redis.call('TYPE', key)['ok']
  if found ~= kind and found ~= 'none' then
    redis.call('DEL', key)
    reply[#reply + 1] = key
  end
end

local record = redis.call('GET', worker)
local held = redis.call('HMGET', unread, 'queue', 'run_at', 'payload')
local decoded, job = pcall(cjson.decode, record or '')
if decoded and type(job) == 'table' and type(job['queue']) == 'string'
  and type(job['run_at']) == 'string' then
  local head = record_head(job['queue'], job['run_at'])
  if string.sub(record, 1, #head) == head then
    held = {job['queue'], job['run_at'], string.sub(record, #head + 1, -2)}
  end
end
redis.call('HDEL', fork, 'queue', 'run_at') -- frees first: a full Redis then takes the rest
if held[1] and held[2] and held[3] then
  redis.call('HSET', fork, 'queue', held[1], 'run_at', held[2])
  if held[1] ~= ARGV[3] or held[2] ~= ARGV[4] or held[3] ~= ARGV[5] then
    redis.call('HSET', fork, 'step', tonumber(ARGV[2]) + 1, 'finish', ARGV[6])
  end
elseif ARGV[3] ~= '' then
  redis.call('DEL', worker, unread)
  write_record(fork, worker, unread, ARGV[3], ARGV[4], ARGV[5])
end
return reply
