-- Give a lease back.
--
-- KEYS  1 the lease
-- ARGV  1 who holds it
-- Returns 1, or 0 if somebody else holds it, or nobody.

if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
