-- Take a dead worker off the books, and its job to where it is not lost.
--
-- KEYS  1 workers  2 workers:heartbeat  3 fork:<id>  4 worker:<id>  5 fork:unread:<id>
--       6 worker:<id>:started  7 stat:processed:<id>  8 stat:failed:<id>
--       9 stat:failed  10 failed_queues  11 queues  12 fork:attempts  13 queue of its job
--       14 fork:workers
-- ARGV  1 id  2 token that it was found with, '' for none
--       3 digest (SHA-1) of the job on record as it was found: worker:<id>, or the
--         payload in fork:unread:<id>
--       4 fail or requeue, none if there is no job  5 losses that make a poison pill
--       6 queue of its job  7 payload of its job, if it is to be requeued
--       8 number of values that follow for failed entries (see push_failed) of a job
--         that fails; those of a poison pill come after them
-- Returns 'rescued', 'requeued', 'failed', or 'changed' if it is no longer as it
-- was found: ten rescuers rescue once.

local in_the_way = refuse_unless('set', KEYS[1]) or refuse_unless('hash', KEYS[2])
  or refuse_unless('set', KEYS[14])
if in_the_way then return in_the_way end
local token = redis.call('HGET', KEYS[3], 'token') or ''
local record = redis.call('GET', KEYS[4]) or redis.call('HGET', KEYS[5], 'payload')
local expected = ARGV[4] ~= 'none' and ARGV[3] -- an empty payload is a payload too
local known = redis.call('SISMEMBER', KEYS[1], ARGV[1]) + redis.call('HEXISTS', KEYS[2], ARGV[1])
  + redis.call('SISMEMBER', KEYS[14], ARGV[1])
local digest = record and redis.sha1hex(record)
if token ~= ARGV[2] or digest ~= expected or (known == 0 and token == '' and not record) then
  return 'changed'
end
local first, last = 9, 8 + tonumber(ARGV[8])
if ARGV[4] ~= 'none' then
  local targets = failed_lists(first, #ARGV)
  targets[#targets + 1] = ARGV[4] == 'requeue' and KEYS[13] or nil
  local held = redis.call('EXISTS', KEYS[4]) == 1 and KEYS[4] or KEYS[5]
  local refusal = refuse_unless_lists(targets, held)
  if refusal then return refusal end
end
redis.call('SREM', KEYS[1], ARGV[1])
redis.call('SREM', KEYS[14], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('DEL', unpack(KEYS, 3, 8))

if ARGV[4] == 'none' then return 'rescued' end
if ARGV[4] == 'requeue' then
  if not is_poison(KEYS[12], ARGV[7], ARGV[5]) then
    put_back(KEYS[11], ARGV[6], KEYS[13], ARGV[7])
    return 'requeued'
  end
  first, last = last + 1, #ARGV
end
count(KEYS[9])
push_failed(first, last, KEYS[10])
return 'failed'
