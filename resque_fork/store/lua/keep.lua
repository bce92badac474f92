-- Copy the payload on record to a key of its own, for a failed entry that cannot hold it.
--
-- KEYS  1 fork:<id>  2 fork:unread:<id>  3 fork:kept:<name>
-- ARGV  1 token of the worker's process
-- Returns 1, or 0 if it is no longer on record.

if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return 0 end
return redis.call('COPY', KEYS[2], KEYS[3], 'REPLACE')
