-- Have a job wait for its time.
--
-- KEYS  1 delayed_queue_schedule  2..4 with the namespace, no keys themselves: 'delayed:',
--       'timestamps:', 'status:'  5 _statuses  6 fork:statuses  7 _kill
-- ARGV  1 milliseconds from now, or  2 the second at which it is due; '' for the other
--       3 its item  4 id of the job, '' if it is not tracked  5 its status
-- Returns the second at which it is due: never before the time that was asked for.

local second = tonumber(ARGV[2]) or second_after(tonumber(ARGV[1]) / 1000)
local refusal = refuse_unless('zset', KEYS[1])
  or refuse_unless('list', KEYS[2] .. string.format('%d', second))
if refusal then return refusal end
local due = wait_until(KEYS[1], KEYS[2], KEYS[3], second, ARGV[3])
if ARGV[4] ~= '' then begin_status(KEYS[4], KEYS[5], KEYS[6], KEYS[7], ARGV[4], ARGV[5], due) end
return due
