-- Write the status of the tracked job on record.
--
-- KEYS  1 fork:<id>  2 status:<id of the job>
-- ARGV  1 token of the worker's process  2 number of the step that took the job  3 the status
-- Returns 1, or 0 if the worker does not have the job any more.

local state = redis.pcall('HMGET', KEYS[1], 'token', 'step')
if state['err'] or state[1] ~= ARGV[1] or state[2] ~= ARGV[2] then return 0 end
write_status(KEYS[2], ARGV[3], STATUS_KEPT_SECONDS)
return 1
