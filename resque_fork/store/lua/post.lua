-- Leave a message for another process, which may be gone.
--
-- KEYS  1 the list that the other reads
-- ARGV  1 the message  2 seconds after which nobody wants it any more
-- Returns the number of messages in the list.

local refusal = refuse_unless('list', KEYS[1])
if refusal then return refusal end
local length = redis.call('RPUSH', KEYS[1], ARGV[1])
redis.call('EXPIREAT', KEYS[1], tonumber(redis.call('TIME')[1]) + tonumber(ARGV[2]))
return length
