-- Queue a tracked job, and write its status.
--
-- KEYS  1 queues  2 queue:<queue>  3 _statuses  4 fork:statuses
--       5 'status:', with the namespace, no key itself  6 _kill
-- ARGV  1 id of the job  2 its status  3 its queue  4 its payload
-- Returns 1.

local refusal = refuse_unless('set', KEYS[1]) or refuse_unless('list', KEYS[2])
if refusal then return refusal end
redis.call('SADD', KEYS[1], ARGV[3])
redis.call('RPUSH', KEYS[2], ARGV[4])
begin_status(KEYS[5], KEYS[3], KEYS[4], KEYS[6], ARGV[1], ARGV[2])
return 1
