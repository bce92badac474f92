-- Count the ticks of schedules from now on, unless they are counted.
--
-- KEYS  1 fork:ticks
-- ARGV  name, timing, name, timing...
-- Returns OK

local refusal = refuse_unless('hash', KEYS[1])
if refusal then return refusal end
for i = 1, #ARGV, 2 do count_from_now(KEYS[1], ARGV[i], ARGV[i + 1]) end
return 'OK'
