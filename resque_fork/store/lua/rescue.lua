-- Remove a dead worker, and take its job to where it is not lost.
--
-- KEYS  1 workers  2 workers:heartbeat  3 fork:<id>  4 worker:<id>  5 fork:unread:<id>
--       6 worker:<id>:started  7 stat:processed:<id>  8 stat:failed:<id>
--       9 stat:failed  10 failed_queues  11 queues  12 fork:attempts  13 queue of its job
--       14 fork:workers  15 fork:rescued:<token>  16 pruning_dead_workers_in_progress
--       17 fork:kept:<name>  18 fork:metrics
--       19 'status:', with the namespace, no key itself  20 _kill
--       21.. those of retries (see retry.lua)
-- ARGV  1 id  2 token that it was found with, '' for none
--       3 number of its last step as it was found  4 its record as it was found, which
--         counts if it has no token
--       5 failed; or lost: back to its queue, or failed if it was lost too often; or later: it
--         is retried, or failed if it has no retries left; none if there is no job
--       6 losses that are too many  7 queue of its job
--       8 payload of its job, if it goes to a queue  9 its digest
--       10 1 if the bytes of a job that fails or comes back later go to KEYS 17
--       11 1 if a worker without a token is left alone while a Ruby worker looks for the dead
--       12..14 by what the outcome of its job is counted (see counting.lua)
--       15..18 what is then known of it, if it is tracked (see status.lua)
--       19 digest by which retries are counted, and for later six values more (see retry.lua)
--       then values for its failed entries (see push_failed)
-- Returns 'rescued', 'requeued', 'later', 'failed', or 'changed' if it is no longer as it
-- was found: ten rescuers rescue once.

local RETRY_KEYS, COUNTED_ARGS, TRACKED_ARGS, RETRY_ARGS = 21, 12, 15, 19
local FIRST_ENTRY = ARGV[5] == 'later' and RETRY_ARGS + 7 or RETRY_ARGS + 1
local in_the_way = refuse_unless('set', KEYS[1]) or refuse_unless('hash', KEYS[2])
  or refuse_unless('set', KEYS[14])
if in_the_way then return in_the_way end
local state = redis.pcall('HMGET', KEYS[3], 'token', 'step')
if state['err'] then state = {} end
local token = state[1] or ''
if token ~= ARGV[2] then return 'changed' end
local record = redis.pcall('GET', KEYS[4])
if type(record) ~= 'string' then record = redis.pcall('HGET', KEYS[5], 'payload') end
if type(record) ~= 'string' then record = nil end
if token ~= '' then
  if (state[2] or '') ~= ARGV[3] or (record and ARGV[5] == 'none') then return 'changed' end
else
  local known = redis.call('SISMEMBER', KEYS[1], ARGV[1])
    + redis.call('HEXISTS', KEYS[2], ARGV[1]) + redis.call('SISMEMBER', KEYS[14], ARGV[1])
  if known == 0 and not record then return 'changed' end
  if (record ~= nil) ~= (ARGV[5] ~= 'none') then return 'changed' end
  if record and ARGV[10] ~= '1' and record ~= ARGV[4] then return 'changed' end
  if ARGV[11] == '1' and redis.call('EXISTS', KEYS[16]) == 1 then return 'changed' end
end
local held = redis.call('EXISTS', KEYS[4]) == 1 and KEYS[4] or KEYS[5]
if ARGV[5] ~= 'none' then
  local targets = failed_lists(FIRST_ENTRY, #ARGV)
  targets[#targets + 1] = ARGV[5] == 'lost' and KEYS[13] or nil
  local other = token ~= '' and KEYS[3] or held
  local refusal = refuse_unless_lists(targets, other)
    or (ARGV[5] == 'later' and refuse_retry(RETRY_KEYS, RETRY_ARGS, other) or nil)
  if refusal then return refusal end
end

redis.call('SREM', KEYS[1], ARGV[1])
redis.call('SREM', KEYS[14], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
redis.pcall('HDEL', KEYS[12], 'rescue:' .. ARGV[1])
redis.call('DEL', KEYS[3], KEYS[6], KEYS[7], KEYS[8])
local verb, due = ARGV[5], nil
if verb == 'lost' and is_poison(KEYS[12], ARGV[9], ARGV[6]) then verb = 'failed' end
if (verb == 'failed' or verb == 'later') and ARGV[10] == '1' then
  redis.pcall('RENAME', held, KEYS[17])
end
redis.call('DEL', KEYS[4], KEYS[5])
if verb == 'none' then return 'rescued' end

if token ~= '' then redis.call('SET', KEYS[15], ARGV[3], 'EX', 86400) end
if verb == 'lost' then
  put_back(KEYS[11], ARGV[7], KEYS[13], ARGV[8])
elseif verb == 'later' then
  verb, due = retry(RETRY_KEYS, RETRY_ARGS, KEYS[11], ARGV[8])
else
  forget_retries(RETRY_KEYS, RETRY_ARGS)
end
count_outcome(KEYS[18], COUNTED_ARGS, verb)
end_attempt(KEYS[19], KEYS[20], TRACKED_ARGS, verb, due)
if verb == 'lost' then return 'requeued' end
if verb == 'later' then return 'later' end
count(KEYS[9])
push_failed(FIRST_ENTRY, #ARGV, KEYS[10])
return 'failed'
