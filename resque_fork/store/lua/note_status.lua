-- Write the status of the tracked job on record, unless somebody wants it killed.
--
-- KEYS  1 fork:<id>  2 status:<id of the job>  3 _kill
-- ARGV  1 token of the worker's process  2 number of the step that took the job  3 id of the job
--       4 the status, '' if it is the same
-- Returns 1; 0 if the worker does not have the job any more; 2 if the job is to be killed.

local state = redis.pcall('HMGET', KEYS[1], 'token', 'step')
if state['err'] or state[1] ~= ARGV[1] or state[2] ~= ARGV[2] then return 0 end
if redis.pcall('SISMEMBER', KEYS[3], ARGV[3]) == 1 then return 2 end
if ARGV[4] ~= '' then write_status(KEYS[2], ARGV[4], STATUS_KEPT_SECONDS) end
return 1
