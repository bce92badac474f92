-- Add what a worker has added up to what is counted.
--
-- KEYS  1 fork:<id>  2 fork:metrics
-- ARGV  1 token of the worker's process  2 number of this addition, one more than the last
--       3 JSON: by what is measured, by class or queue, by what of it, a whole number
-- Returns 1, or 0 if the process is not registered. Repeated, it adds nothing.

if redis.pcall('HGET', KEYS[1], 'token') ~= ARGV[1] then return 0 end
if tonumber(redis.call('HGET', KEYS[1], 'added') or 0) >= tonumber(ARGV[2]) then return 1 end
redis.call('HDEL', KEYS[1], 'added') -- frees first: a full Redis then takes the rest
redis.call('HSET', KEYS[1], 'added', ARGV[2])
for measured, by_name in pairs(cjson.decode(ARGV[3])) do
  local names = KEYS[2] .. (measured == 'wait' and ':queues' or ':classes')
  for name, values in pairs(by_name) do
    name = counted_name(names, name)
    for what, number in pairs(values) do
      local field = table.concat({measured, name, what}, '\t')
      redis.pcall('HINCRBY', KEYS[2], field, string.format('%.0f', number))
    end
  end
end
return 1
