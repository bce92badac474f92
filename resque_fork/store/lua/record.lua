-- Let others read the job on record: move it from fork:unread:<id> to worker:<id>.
--
-- KEYS  1 fork:<id>  2 worker:<id>  3 fork:unread:<id>
-- ARGV  1 token of the worker's process  2 number of the step that took the job
-- Returns 1 if it was moved, else 0: it was moved before, or is no longer there.

local state = redis.call('HMGET', KEYS[1], 'token', 'step')
if state[1] ~= ARGV[1] or state[2] ~= ARGV[2] then return 0 end
local queue, run_at, payload, fit = on_record(KEYS[1], KEYS[2], KEYS[3])
if not queue or fit then return 0 end
redis.call('DEL', KEYS[3])
redis.call('SET', KEYS[2], record_head(queue, run_at) .. payload .. '}')
return 1
