-- Give the lease of the clock back.
--
-- KEYS  1 fork:clock
-- ARGV  1 who holds it
-- Returns 1, or 0 if somebody else holds it, or nobody.

local holder = redis.pcall('GET', KEYS[1])
if holder ~= ARGV[1] and holder ~= '?' .. ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
