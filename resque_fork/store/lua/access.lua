-- Say which commands of a worker's scripts, or a clock's, its user may not give.
--
-- KEYS  1 a key that nobody else uses
-- ARGV  1 worker or clock
-- Returns the names of those that are refused, in lower case.

local refused = {}
local function try(name, ...)
  if is_forbidden(redis.pcall(name, ...)) then refused[#refused + 1] = string.lower(name) end
end

-- A string that expires by itself: most of what follows cannot change one.
try('SET', KEYS[1], '', 'PX', 1)
if #refused > 0 then return refused end
for _, name in ipairs({
  'EXISTS', 'GET', 'HGETALL', 'INCR', 'LPOP', 'SCARD', 'SMEMBERS', 'SUNION', 'TYPE',
}) do
  try(name, KEYS[1])
end
for _, name in ipairs({
  'HDEL', 'HEXISTS', 'HGET', 'HMGET', 'LPUSH', 'RPUSH', 'SADD', 'SETNX', 'SISMEMBER', 'SREM',
}) do
  try(name, KEYS[1], '')
end
for _, name in ipairs({'HINCRBY', 'HSET', 'HSETNX'}) do try(name, KEYS[1], '', 1) end
for _, name in ipairs({'ZRANGE', 'ZREMRANGEBYSCORE'}) do try(name, KEYS[1], 0, 0) end
try('ZADD', KEYS[1], 0, '')
try('ZREM', KEYS[1], '')
try('COPY', KEYS[1], KEYS[1])
try('RENAME', KEYS[1], KEYS[1])
try('DEL', KEYS[1])
try('EXPIREAT', KEYS[1], 1)
try('TIME')
if ARGV[1] == 'clock' then
  try('LINDEX', KEYS[1], 0)
  try('LLEN', KEYS[1])
  try('LREM', KEYS[1], 0, '')
  try('ZRANGEBYSCORE', KEYS[1], 0, 0)
  try('ZSCORE', KEYS[1], '')
  for _, name in ipairs({'HSCAN', 'SSCAN', 'ZSCAN'}) do try(name, KEYS[1], 0) end
end
return refused
